//! lsx-dns answers the names of a stack on its gateways.
//!
//! On every host whose router is a gateway, a server answers in the router at the gateways' addresses, by UDP and TCP: instances
//! on each of their networks, hosts, load balancers, the services and records of the document, and addresses. An instance's ports
//! with a usual name are services (`_http._tcp.web.production.internal`): those that its host publishes, and that of `ready`. A source gets the names that it
//! may reach: those of its own networks, and those that an `allow` leads to; sources outside the stack are refused. Names of
//! others are asked from the servers of `dns.forward`, by default those of the host; names for private use are never passed
//! on. Instances have their gateway as name server. Another configuration is handed over to a new worker on the same sockets,
//! without a lost query.
//!
//! Answers of other servers are kept for their time, at most a day, and `dns.cache` of them. While no server answers, an answer
//! whose time was over less than a day ago is given, with a remark (RFC 8767, RFC 8914). What is asked often is asked again before
//! its time is over. Of another server's message only the records that belong to the question are used.
//!
//! Each server probes replicas that have a `ready` and are on a network of its router, every `dns.health`; those that are not ready are
//! left out of answers while others are there. By `https` and `banner` a connection is enough, and with `command` a replica
//! counts as ready. A name of one replica always has its address.
//!
//! Clients of `dns.update` change names by signed updates (RFC 2136, RFC 8945): records that are added and deleted, and prerequisites,
//! all of a message or nothing. A name belongs to whoever made it. Nobody changes a name of the stack; of two clients the one whose
//! `owner` comes first takes a name from the other, and of two of one kind the first keeps it. Names of clients that the document no longer has
//! are not answered. An address of the stack is seen by those who may reach it. Before an update is answered it is in the journal below
//! /var/lib/lsx/dns, which `down` keeps; with a full disk the answer is SERVFAIL, nothing changes, and `check` tells it. One that is repeated gets the same
//! answer and counts once. Clocks may differ by five minutes; else the answer is BADTIME. `lsx-dns key CLIENT` prints the key of a client, for nsupdate.
//!
//! `lsx-dns update` changes names of this or any other server that takes such updates. It signs them on this machine, so that the key stays
//! there, and sends them by TCP, from an instance's place to its name server or with `--server` from here. If a condition does not
//! hold, nothing is changed and the exit status is 2.
//!
//! The servers of `dns.transfer` transfer the zones by TCP (RFC 5936), or what has changed since (RFC 1995), and are told of changes
//! (RFC 1996). They get all names, also those that only some networks see. The serial of the zones is the time in seconds; it rises
//! with every change, also when the clock goes back.
//!
//! With gateways on several hosts, the server on the host of `dns.host` keeps the names that clients change; by default that is the
//! gateway's host that comes first by name. The others pass updates on to it as they are (RFC 2136 6), and follow what it has
//! done at once, with a key that comes from the secret `seed`. lsx-net lets their routers reach its router, at the TCP port with the number of
//! `tunnel_port`. Transfers and NOTIFY come from every gateway. While the server that keeps the names cannot be reached, the others answer from
//! what they have, and updates get SERVFAIL; then they are the same again. `check`
//! tells which of them is behind, and when one cannot ask. `plan` refuses another `dns.host` while the names are kept elsewhere, or if that host
//! lacks some of them: run `lsx-dns down`, which leaves them on all hosts, and then `up`.
//!
//! `dns.rate` datagrams a second of one source are answered; above, it is told to ask by TCP, or gets a cookie to show (RFC 7873).
//! Sources outside the stack are counted by /24, and of what is above half gets no reply at all: their addresses may be forged.
//!
//! With `dns.dhcp`, dnsmasq gives addresses in the networks that are named, in the router of their gateway. Reservations and options
//! change without a restart; leases are in /var/lib/lsx/dns/STACK/data. A client that tells a name has it in
//! the domain of its network (`laptop.front.internal`) and in reverse, for those who may reach its address, until its lease ends; of two in a
//! network who tell the same name, the last one. Nothing proves such a name: everything in the document, and clients of `dns.update`, come
//! first, and a client has no name that would hide one directly in the stack's domain from others in its network, nor `wpad`, `isatap`
//! or `localhost`. Other drivers than `embedded` do not answer these names. With `update` or `transfer` they are in transfers and on the
//! gateways of other hosts, too, and with the secret `seed` alone on those gateways; a name that is new or gone is so there a second later.
//! While the host of the lease, or that of `dns.host`, cannot be reached, other gateways keep what they have.
//!
//! With `dns.boot`, a server gives the files of a volume by TFTP (RFC 1350, 2347 to 2349, 7440) and HTTP, read-only, in the same networks, and
//! DHCP names the one for the client's architecture, or for iPXE; firmware that boots by HTTP (`HTTPClient`) gets a URL. The server sees
//! the volume's folder alone, and so that no link in it is followed (Linux 5.10). It starts when lsx-ct has made the volume. Each
//! transfer is a line of its log: TIME stderr F, and a JSON object with `to`, `by`, `file`, `bytes`, and whether the file was given `whole`.
//!
//! With `once`, a machine gets the boot file of its firmware once, and that of iPXE once; then DHCP tells it none, and the server refuses these
//! files, until `lsx-dns boot` asks it to boot again. Further files of the volume are given as always. A machine is known by its hardware
//! address. It counts as booted on the disk before the last bytes of the file go out: killed in that moment, it may have to be asked again,
//! and never boots twice. `lsx-dns boot` without a machine shows who has booted. `check` asks for the boot files from an instance of each
//! network, by TFTP and HTTP, and takes none.
//!
//! With `meta`, a server in the router of each gateway tells instances about themselves, at http://169.254.169.254/, an address that nobody
//! has: the router translates it. It has EC2's paths (/latest/meta-data/, /latest/user-data, tokens of version 2 of its protocol), those of
//! NoCloud below /nocloud/ (`ds=nocloud-net;s=http://169.254.169.254/nocloud/`), and LXD's below /1.0/. User data are the files of
//! `cloud_init`, public keys those of `ssh_keys`; they are on the gateway as secrets are, for root alone. Who asks is known by the source
//! address, and is told of itself alone. The identity of an instance has the stack, its name and a digest of its user data: with other user
//! data cloud-init runs as on a new machine. Requests that came through a proxy (X-Forwarded-For) are refused, and those by a name of somebody
//! else. With `tokens: required` every request needs a token; cloud-init gets one only on machines that it takes for Amazon's. An instance
//! asks by its default route, so that has to be by a network of `meta`. A changed configuration ends tokens; clients then get new ones.
//!
//! With `dns.log` each query is a line of the server's log: TIME stderr F, and a JSON object with `from`, `name`, `type`, `code` (null
//! without a reply), `tcp`, and `lost`, the number of lines that the disk was too slow for. The log is rotated at 10 MB, twice.
//!
//! With `dns.driver: bind` or `dnsmasq`, that program of the host answers instead, in the router at the same addresses, with files
//! that its own command has checked. BIND has a view for each group of sources, and asks the servers of a delegated zone itself;
//! dnsmasq answers everybody alike, so it is refused where networks may not see the same names. Neither leaves out replicas that
//! are not ready (`health: off`), counts queries for `counts`, nor adds lines of lsx-dns' form to the log. Where AppArmor confines
//! BIND, /etc/apparmor.d/local/usr.sbin.named needs the line `/run/lsx/** r,`.

use common::host::service::kept::KeptService;
use common::host::service::tend::Tend;
use common::host::service::worker::Worker;
use common::plan::{Have, Kept};
use common::table::Columns;
use common::tool::{
    Change, Checked, Draft, Each, Hear, Observation, ObservedOf, PlanInput, PlanOf, Source, Tool,
};
use common::transfer::Needs;
use common::{Failure, Failures};
use schemars::{Schema, schema_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod ask;
mod boot;
mod check;
pub mod cli;
pub mod dhcp;
mod edit;
mod http;
mod key;
mod meta;
pub mod model;
mod observe;
pub mod plan;
mod query;
pub mod render;
mod secrets;
mod serve;
mod shown;
mod supervise;
mod transfer;
mod update;
pub mod zone;

/// The program's name.
pub const PROGRAM: &str = "lsx-dns";
/// The code of a server that cannot serve.
const SERVE: &str = "dns.serve";

/// The tool.
#[derive(Clone, Copy, Debug)]
pub struct Dns;

impl Tool for Dns {
    const NAME: &'static str = "dns";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &[PROGRAM];
    const TABLES: &'static [Columns] = &[
        ("dns.observed", "objects", &["host", "key", "object.running", "object.config"]),
        (
            "dns.counts",
            "",
            &["stack", "since_at", "queries", "tcp", "kept", "forwarded", "old", "failed", "limited"],
        ),
        (
            "dns.query",
            "",
            &[
                "name",
                "type",
                "from",
                "server",
                "zone",
                "expected.code",
                "answer.code=ANSWER",
                "same",
                "answer.ms",
            ],
        ),
        ("dns.explain", "sources", &["record", "at", "path", "why"]),
        ("dns.offer", "sources", &["record", "at", "path", "why"]),
        ("dns.update", "", &["server", "from", "zone", "key", "code", "error", "signed", "ms"]),
        ("dns.leases", "leases", &["host", "network", "address", "mac", "name", "until_at", "reserved"]),
        ("dns.machines", "machines", &["host", "mac", "name", "boots", "firmware_at", "ipxe_at", "asked_at"]),
        ("dns.report", "hosts", &["host", "ok", "changed", "skipped"]),
        ("dns.check", "rows", &["host", "network", "from", "server", "names", "asked", "answered", "why"]),
    ];
    const ORDER: u8 = 40;
    type Object = Kept;
    type Facts = model::Facts;
    type Gathered = BTreeMap<String, model::Key>;
    type Data = model::Shared;
    type Intent = model::Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Self::Object, Self::Facts>, Failure> {
        observe::observe(stack)
    }

    fn base(&self, objects: &[Have<Self::Object>], seen: &Self::Facts) -> String {
        plan::base(objects, &seen.resolvers)
    }

    fn gather(&self, from: &Source<'_>) -> Result<Self::Gathered, Failures> {
        secrets::gather(from)
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Kept) -> Needs<'p> {
        secrets::needs(&plan.data, object)
    }

    fn plan(
        &self,
        input: &PlanInput<Self::Gathered>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn intent_key(intent: &model::Intent) -> String {
        plan::key(intent)
    }

    fn changer(&self, _: Arc<PlanOf<Self>>) -> Change<Kept> {
        Box::new(|_, _| Ok(()))
    }

    fn tend(&self, of: &KeptService) -> Option<Box<dyn Tend>> {
        (of.name == model::DHCP).then(|| Box::new(supervise::Tended::of(of)) as Box<dyn Tend>)
    }

    fn serve(&self, worker: Worker) -> Result<(), Failure> {
        match worker.name.as_str() {
            model::META => meta::work(worker),
            model::BOOT => boot::work(worker),
            _ => serve::work(worker),
        }
    }

    fn call(&self, name: &str, input: Value, _: &AtomicBool, _: Hear<'_>) -> Result<Value, Failures> {
        match name {
            "leases" => dhcp::answered(input),
            "discover" => dhcp::discovered(input),
            "metadata" => meta::answered(input),
            "boot" => boot::answered(input),
            "bootfiles" => boot::ask::answered(input),
            _ => check::call(name, input),
        }
    }

    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        vec![
            ("counts", schema_for!(model::Counted)),
            ("explain", schema_for!(query::Queried)),
            ("offer", schema_for!(dhcp::Offer)),
            ("query", schema_for!(query::Queried)),
            ("render", schema_for!(shown::Rendered)),
            ("changes", schema_for!(edit::Wanted)),
            ("update", schema_for!(edit::Updated)),
            ("leases", schema_for!(dhcp::Leases)),
            ("machines", schema_for!(boot::Machines)),
        ]
    }

    fn check(&self, input: &PlanInput<Self::Gathered>, each: Each<'_>) -> Result<Checked, Failures> {
        let mut checked = check::check(input, &mut *each)?;
        dhcp::check(input, &mut *each, &mut checked);
        boot::ask::check(input, &mut *each, &mut checked);
        meta::check(input, each, &mut checked);
        Ok(checked)
    }
}
