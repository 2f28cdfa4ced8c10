//! A stack with buckets, and the programs that use them in the network of an instance.

use crate::depot::Depot;
use lsx_tests::lab::Ran;

/// The server, as clients reach it.
pub(crate) const AT: &str = "10.162.0.1:9000";

/// What the keys of its users are derived from.
pub(crate) const SEED: &str = "0123456789abcdef0123456789abcdef";

pub(crate) const STACK: &str = "
stack: shelf
hosts: { h1: 198.18.0.11, h2: 198.18.0.12 }
networks: { lan: { cidr: 10.162.0.0/24, gateway: h1 } }
images: { bb: { oci: \"tar:bb.tar\" } }
secrets: { seed: file:seed, s3_ann: derive, s3_bob: derive }
instances:
  client: { image: bb, host: h1, networks: [lan], command: [sleep, \"100000\"] }
store:
  root: /data
  s3: { host: h1 }
  users: { ann: { key: s3_ann }, bob: { key: s3_bob } }
  volumes: { web: {}, shared: { host: h1 } }
  buckets:
    web: { allow: { ann: [get, put, list, delete], bob: [get] } }
    notes: { volume: shared, allow: { ann: [put], bob: [get, list] } }
    alone: { volume: shared }
";

/// The stack while it is up.
pub(crate) struct Shelf<'d> {
    depot: &'d Depot,
    pub(crate) file: String,
}

impl Shelf<'_> {
    pub(crate) fn up(depot: &Depot) -> Shelf<'_> {
        depot.lab.file("seed", &format!("{SEED}\n"));
        let file = depot.lab.file("shelf.yaml", STACK);
        depot.start(&file);
        let shelf = Shelf { depot, file };
        for user in ["ann", "bob"] {
            let keys = depot.store(&["key", user, "--stack", &shelf.file]).ok().stdout;
            let (access, secret) = (field(&keys, "aws_access_key_id"), field(&keys, "aws_secret_access_key"));
            assert_eq!((access, secret.len()), (user, 43), "{keys}");
            let s3cmd = format!(
                "[default]\naccess_key = {access}\nsecret_key = {secret}\nhost_base = {AT}\nhost_bucket = {AT}\nbucket_location = office\nuse_https = False\n"
            );
            shelf.host(&format!("mkdir -p /etc/s3; cd /etc/s3; cat >{user}.keys <<'E'\n{keys}E\ncat >{user}.cfg <<'E'\n{s3cmd}E"));
        }
        shelf
    }

    #[track_caller]
    pub(crate) fn host(&self, script: &str) -> String {
        self.depot.lab.script("h1", script).ok().stdout
    }

    /// A script with the host's programs, in the network of the instance.
    pub(crate) fn client(&self, script: &str) -> Ran {
        let pid = self.host("jq -r .pid /run/lsx/ct/shelf/client/state.json");
        self.depot.lab.exec(
            "h1",
            &["nsenter", "-t", pid.trim(), "-n", "/bin/bash", "-ec", &format!("cd /etc/s3\n{script}")],
        )
    }

    /// A Python program with boto3 and a client `s3` of a user.
    pub(crate) fn python(&self, user: &str, program: &str) -> Ran {
        let head = format!(
            "import boto3, hashlib, sys, os\nfrom botocore.config import Config\nfrom botocore.exceptions import ClientError\n\
             def client(**more): return boto3.client('s3', endpoint_url='http://{AT}', region_name='office', config=Config(s3={{'addressing_style': 'path'}}, retries={{'max_attempts': 0}}, **more))\n\
             s3 = client()\ndef code(f, **k):\n  try: f(**k); return 'ok'\n  except ClientError as e: return e.response['Error']['Code']\n"
        );
        self.client(&format!(
            "export AWS_SHARED_CREDENTIALS_FILE=/etc/s3/{user}.keys\n/usr/bin/python3 - <<'END'\n{head}{program}\nEND"
        ))
    }

    pub(crate) fn down(self) {
        self.depot.end(&self.file, Some("shelf"));
        self.host("rm -rf /etc/s3; ! test -e /var/lib/lsx/secrets/shelf; ! test -e /run/lsx/shelf/store; ! test -e /data/web");
    }
}

fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    found.unwrap_or_else(|| panic!("no {name}: {text}"))
}
