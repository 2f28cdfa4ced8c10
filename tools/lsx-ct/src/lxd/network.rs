//! Interfaces: the server creates them on the bridges of lsx-net, and `lsx-net attach` takes them over.

use crate::model::Instance;
use common::{Failure, Kind};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{recv, sendto, socket};
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

/// The bridges of an instance's networks.
pub(super) fn bridges(stack: &str, instance: &Instance) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for nic in &instance.nics {
        let bridge = named(&format!("lsx:{stack}:{}:bridge", nic.network))?.ok_or_else(|| {
            let message = format!("network {} of stack {stack} does not exist on this host", nic.network);
            Failure::new(Kind::Failed, "ct.lxd.network", message).hint("create it first: lsx-net up STACK")
        })?;
        found.insert(nic.network.clone(), bridge);
    }
    Ok(found)
}

/// The name of the link with an alternative name, by one request to the kernel (rtnetlink(7), RTM_GETLINK with
/// IFLA_ALT_IFNAME): /sys does not have alternative names, and running another program takes a hundred times as long.
fn named(altname: &str) -> Result<Option<String>, Failure> {
    let wrong =
        |e: nix::Error| Failure::new(Kind::Failed, "ct.lxd.netlink", format!("cannot ask the kernel: {e}"));
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            .map_err(wrong)?;
    sendto(socket.as_raw_fd(), &question(altname), &NetlinkAddr::new(0, 0), MsgFlags::empty())
        .map_err(wrong)?;
    let mut answer = vec![0; 64 * 1024];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(wrong)?;
    Ok(name_in(answer.get(..length).unwrap_or_default()))
}

const NLM_F_REQUEST: u16 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_ALT_IFNAME: u16 = 53;
/// struct nlmsghdr and struct ifinfomsg.
const HEADS: usize = 32;

fn question(altname: &str) -> Vec<u8> {
    let attribute = 4 + altname.len() + 1;
    let padded = attribute.next_multiple_of(4);
    let mut message = Vec::with_capacity(HEADS + padded);
    message.extend(length(HEADS + padded).to_ne_bytes());
    message.extend(RTM_GETLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.resize(HEADS, 0);
    message.extend(short(attribute).to_ne_bytes());
    message.extend(IFLA_ALT_IFNAME.to_ne_bytes());
    message.extend(altname.as_bytes());
    message.resize(HEADS + padded, 0);
    message
}

fn name_in(answer: &[u8]) -> Option<String> {
    let number = |at: usize| answer.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    if number(4)? != RTM_NEWLINK {
        return None; // an error: no such link
    }
    let mut at = HEADS;
    while let (Some(length), Some(kind)) = (number(at), number(at + 2)) {
        let length = usize::from(length).max(4);
        if kind == IFLA_IFNAME {
            let text = answer.get(at + 4..at + length)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
        at += length.next_multiple_of(4);
    }
    None
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn short(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_as_long_as_it_says_and_padded() {
        let question = question("lsx:s:lan:bridge");
        assert_eq!((question.len(), question[0]), (56, 56));
        assert_eq!(&question[32..36], &[21, 0, 53, 0]);
    }

    #[test]
    fn the_name_is_read_out_of_an_answer() {
        let mut answer = vec![0; HEADS];
        answer[4] = 16;
        answer.extend([8, 0, 4, 0, 1, 2, 3, 4]); // IFLA_MTU
        answer.extend([7, 0, 3, 0, b'l', b'b', 0, 0]);
        assert_eq!(name_in(&answer), Some("lb".to_owned()));
        answer[4] = 2; // NLMSG_ERROR
        assert_eq!(name_in(&answer), None);
        assert_eq!(name_in(&[]), None);
    }
}
