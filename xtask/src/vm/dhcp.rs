//! A DHCP server for the private link (RFC 2131), as a pure function of one frame: every node has one address for ever.

use std::net::Ipv4Addr;

/// The link's network: node 1 has .11, so that nobody takes a node's number for the router's.
const NETWORK: [u8; 3] = [10, 77, 0];
const ROUTER: Ipv4Addr = Ipv4Addr::new(NETWORK[0], NETWORK[1], NETWORK[2], 1);
const ROUTER_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x77, 0x00, 0xfe];
const FIRST_NODE: u8 = 11;
const MASK: [u8; 4] = [255, 255, 255, 0];
/// Longer than any test.
const LEASE_SECONDS: u32 = 7 * 24 * 3600;

const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
/// BOOTP's fixed part, and the cookie that options start with.
const BOOTP_BYTES: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const OPTION_MESSAGE: u8 = 53;
const OPTION_END: u8 = 255;
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;

/// What a node is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    address: Ipv4Addr,
}

impl Lease {
    /// The lease of the node with that index (0 is node 1).
    pub fn of_node(index: usize) -> Self {
        let [a, b, c] = NETWORK;
        Self { address: Ipv4Addr::new(a, b, c, FIRST_NODE.saturating_add(u8::try_from(index).unwrap_or(u8::MAX))) }
    }
}

/// The answer to a frame, if it asks a DHCP server for something; `None` for every other frame.
pub fn reply(frame: &[u8], lease: &Lease) -> Option<Vec<u8>> {
    let ip = frame.get(ETHERNET_BYTES..)?;
    // IPv4, UDP, to the server's port; no client of DHCP sends IP options.
    if frame.get(12..14)? != [0x08, 0x00] || *ip.first()? != 0x45 || *ip.get(9)? != 17 {
        return None;
    }
    let udp = ip.get(IP_BYTES..)?;
    if udp.get(2..4)? != SERVER_PORT.to_be_bytes() {
        return None;
    }
    let request = udp.get(UDP_BYTES..)?;
    // A request over Ethernet.
    if request.get(..3)? != [1, 1, 6] || request.get(BOOTP_BYTES..BOOTP_BYTES + 4)? != COOKIE {
        return None;
    }
    let message = match message_type(request.get(BOOTP_BYTES + 4..)?)? {
        DISCOVER => OFFER,
        REQUEST => ACK,
        _ => return None,
    };
    let client = request.get(28..34)?;
    Some(ethernet(client, &ipv4(&udp_datagram(&answer(request, message, lease)?))))
}

/// The value of option 53.
fn message_type(mut options: &[u8]) -> Option<u8> {
    loop {
        match *options.first()? {
            0 => options = options.get(1..)?,
            OPTION_END => return None,
            option => {
                let len = usize::from(*options.get(1)?);
                if option == OPTION_MESSAGE {
                    return options.get(2).copied();
                }
                options = options.get(2 + len..)?;
            }
        }
    }
}

fn answer(request: &[u8], message: u8, lease: &Lease) -> Option<Vec<u8>> {
    let mut bytes = vec![0; BOOTP_BYTES];
    bytes[..3].copy_from_slice(&[2, 1, 6]);
    bytes[4..8].copy_from_slice(request.get(4..8)?);
    bytes[10..12].copy_from_slice(request.get(10..12)?);
    bytes[16..20].copy_from_slice(&lease.address.octets());
    bytes[20..24].copy_from_slice(&ROUTER.octets());
    bytes[28..44].copy_from_slice(request.get(28..44)?);
    bytes.extend_from_slice(&COOKIE);
    let router = ROUTER.octets();
    let seconds = LEASE_SECONDS.to_be_bytes();
    for (option, value) in [(OPTION_MESSAGE, [message].as_slice()), (54, &router), (51, &seconds), (1, &MASK), (3, &router)] {
        bytes.push(option);
        bytes.push(value.len() as u8);
        bytes.extend_from_slice(value);
    }
    bytes.push(OPTION_END);
    Some(bytes)
}

fn udp_datagram(payload: &[u8]) -> Vec<u8> {
    let len = (UDP_BYTES + payload.len()) as u16;
    // A checksum of zero is none, which IPv4 allows.
    [&SERVER_PORT.to_be_bytes()[..], &CLIENT_PORT.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

fn ipv4(payload: &[u8]) -> Vec<u8> {
    let mut header = [0; IP_BYTES];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((IP_BYTES + payload.len()) as u16).to_be_bytes());
    header[8] = 64;
    header[9] = 17;
    header[12..16].copy_from_slice(&ROUTER.octets());
    header[16..20].fill(0xff);
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    [&header[..], payload].concat()
}

fn ethernet(to: &[u8], payload: &[u8]) -> Vec<u8> {
    [to, &ROUTER_MAC, &[0x08, 0x00], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x77, 0, 1];

    fn asked(message: u8) -> Vec<u8> {
        let mut request = vec![0; BOOTP_BYTES];
        request[..3].copy_from_slice(&[1, 1, 6]);
        request[4..8].copy_from_slice(b"xid!");
        request[28..34].copy_from_slice(&MAC);
        request.extend_from_slice(&COOKIE);
        request.extend_from_slice(&[12, 1, b'x', 0, OPTION_MESSAGE, 1, message, OPTION_END]);
        let mut udp = udp_datagram(&request);
        udp[..4].copy_from_slice(&[0, 68, 0, 67]);
        [&[0xff; 6], &MAC[..], &[8, 0], &ipv4(&udp)].concat()
    }

    #[test]
    fn a_node_is_offered_and_given_its_own_address() {
        for (asks, gets) in [(DISCOVER, OFFER), (REQUEST, ACK)] {
            let reply = reply(&asked(asks), &Lease::of_node(1)).unwrap();
            assert_eq!(reply[..6], MAC);
            let bootp = &reply[ETHERNET_BYTES + IP_BYTES + UDP_BYTES..];
            assert_eq!((&bootp[4..8], &bootp[16..20]), (b"xid!".as_slice(), [10, 77, 0, 12].as_slice()));
            assert_eq!(message_type(&bootp[BOOTP_BYTES + 4..]), Some(gets));
            // The header's words and its checksum add up to all ones.
            let header = &reply[ETHERNET_BYTES..ETHERNET_BYTES + IP_BYTES];
            let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        }
    }

    #[test]
    fn a_release_and_other_traffic_are_let_pass() {
        assert_eq!(reply(&asked(7), &Lease::of_node(0)), None);
        let mut other = asked(DISCOVER);
        other[ETHERNET_BYTES + IP_BYTES + 3] = 53;
        assert_eq!(reply(&other, &Lease::of_node(0)), None);
    }

    proptest! {
        #[test]
        fn any_frame_is_survived(at in 0..300usize, value: u8, len in 0..320usize) {
            let mut frame = asked(DISCOVER);
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
            frame.truncate(len);
            let _ = reply(&frame, &Lease::of_node(0));
        }
    }
}
