//! Sections of single tools, each in its own folder: model, decoder and rules.

pub(crate) mod balance;
pub(crate) mod dns;
pub(crate) mod meta;
pub(crate) mod pki;
pub(crate) mod snap;
pub(crate) mod store;

pub(crate) use balance::certificate_folder;
pub use balance::{Algorithm, Balance, Mode, Sticky};
pub use dns::dhcp::{Boot, Dhcp, Reserved};
pub use dns::names::{dns_name, dns_target};
pub use dns::servers::dns_servers;
pub use dns::{Dns, DnsDriver, DnsService, Record, RecordType, Transfer, Update, UpdateOwner};
pub use meta::{Meta, Tokens};
pub use pki::ssh::{SshAuthority, SshUser};
pub use pki::{
    Acme, Authority, Certificate, Challenge, Eab, Existing, For, KeyAlgorithm, Permit, Pki, Revocation, Root,
    Trust, Usage,
};
pub use snap::{Job, Keep, Proof, Quiesce, QuiesceTable, Snap, SnapTarget};
pub use store::s3::{Action, Bucket, S3, S3Driver, S3User};
pub use store::{Borrower, Disk, DiskDriver, Pool, Registry, Store, StoreDriver, Volume};
