//! Links: name, change, mark and delete them.

mod bridge;
mod port;
mod veth;
mod vxlan;

use std::fmt;
use std::num::NonZeroU32;

use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, Prop};

use super::socket::Request;

pub(crate) use bridge::Bridge;
pub(crate) use port::PortFlags;
pub(crate) use veth::{Peer, Veth};
pub(crate) use vxlan::Vxlan;

/// An Ethernet address, in transmission order.
pub(crate) type Mac = [u8; 6];

/// `IFLA_ALT_IFNAME` (linux/if_link.h), which the crate supports in a property list only.
const IFLA_ALT_IFNAME: u16 = 53;

/// Identifies a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device<'a> {
    /// By interface index.
    Index(u32),
    /// By name; at most 15 bytes. The kernel looks among alternative names too (`__dev_get_by_name`).
    Name(&'a str),
    /// By alternative name; at most 127 bytes.
    Altname(&'a str),
}

impl fmt::Display for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Index(index) => write!(f, "link {index}"),
            Device::Name(name) | Device::Altname(name) => f.write_str(name),
        }
    }
}

impl Device<'_> {
    /// An empty message for this link.
    pub(super) fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        match self {
            Device::Index(index) => message.header.index = *index,
            Device::Name(name) => message.attributes.push(LinkAttribute::IfName((*name).to_owned())),
            Device::Altname(name) => {
                let value = [name.as_bytes(), &[0]].concat();
                message.attributes.push(LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, value)));
            }
        }
        message
    }
}

/// Changes of a link; `None` leaves a value unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    /// Administrative state.
    pub up: Option<bool>,
    /// Bytes of a frame's payload.
    pub mtu: Option<u32>,
    /// Index of the bridge to join; 0 leaves the bridge.
    pub master: Option<u32>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// The description shown by `ip link` (`ifalias`); empty removes it. At most 255 bytes.
    pub alias: Option<&'a str>,
    /// Link group, the handle of [`delete_group`].
    pub group: Option<u32>,
}

/// Changes a link. The kernel applies the parts one after another and stops at the first error (`do_setlink`).
pub(crate) fn change(device: Device<'_>, change: &Change<'_>) -> Request<'static> {
    let mut message = device.message();
    if let Some(up) = change.up {
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    }
    let attributes = [
        change.mac.map(|mac| LinkAttribute::Address(mac.to_vec())),
        change.mtu.map(LinkAttribute::Mtu),
        change.alias.map(|alias| LinkAttribute::IfAlias(alias.to_owned())),
        change.group.map(LinkAttribute::Group),
        change.master.map(LinkAttribute::Controller),
    ];
    message.attributes.extend(attributes.into_iter().flatten());
    Request::new(format!("change {device}"), 0, RouteNetlinkMessage::SetLink(message))
}

/// Renames a link, identified by index, since a name in the message would be used to find it.
pub(crate) fn rename(index: u32, name: &str) -> Request<'static> {
    let mut message = Device::Index(index).message();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    Request::new(format!("rename link {index} to {name}"), 0, RouteNetlinkMessage::SetLink(message))
}

/// Adds an alternative name: at most 127 bytes, unique among all names of the namespace (`EEXIST`).
pub(crate) fn add_altname(device: Device<'_>, altname: &str) -> Request<'static> {
    let mut message = device.message();
    message.attributes.push(LinkAttribute::PropList(vec![Prop::AltIfName(altname.to_owned())]));
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
    Request::new(format!("name {device} also {altname}"), flags, RouteNetlinkMessage::NewLinkProp(message))
}

/// Deletes a link; a veth is deleted with its other end, the ports of a bridge stay.
pub(crate) fn delete(device: Device<'_>) -> Request<'static> {
    Request::new(format!("delete {device}"), 0, RouteNetlinkMessage::DelLink(device.message()))
}

/// Deletes every link of a group in one kernel transaction. Group 0 is the default of all links and is not allowed; if one
/// member cannot be deleted, none is (`rtnl_group_dellink`); an empty group is `ENODEV`.
pub(crate) fn delete_group(group: NonZeroU32) -> Request<'static> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group.get()));
    Request::new(format!("delete the links of group {group}"), 0, RouteNetlinkMessage::DelLink(message))
}

/// The message part that all new links share. With `index` 0 the kernel chooses, `group` 0 is the kernel's default.
fn new_link(name: &str, index: u32, mac: Mac, mtu: u32, group: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::Group(group),
    ];
    message
}

/// Creates it up, as a member of `master`, if the name and the index are free.
fn create(op: String, mut message: LinkMessage, master: Option<u32>) -> Request<'static> {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.extend(master.map(LinkAttribute::Controller));
    Request::new(op, NLM_F_CREATE | NLM_F_EXCL, RouteNetlinkMessage::NewLink(message))
}
