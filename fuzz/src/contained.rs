//! Packets of contained programs.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use i2p_contain::{
    gate::{Addresses, Gate, Limits, Refusal, Verdict},
    packet::{Headers, Transport, VIRTIO_HEADER_BYTES, VirtioHeader, rewrite_tcp},
};

/// A frame of a contained program. A rewrite there and back changes at most a checksum of all ones into one of all zeros, which means
/// the same; a second one changes nothing.
///
/// # Panics
/// If the property does not hold.
pub fn contained_packet(input: &[u8]) {
    let Some((_, packet)) = VirtioHeader::split(input) else { return };
    let Ok(headers) = Headers::parse(packet) else { return };
    if let Transport::Udp(udp) = &headers.transport {
        assert!(packet.get(udp.payload.clone()).is_some(), "{headers:?}");
    }
    let Some(once) = there_and_back(input) else { return };
    assert_eq!(Headers::parse(once.get(VIRTIO_HEADER_BYTES..).unwrap_or_default()), Ok(headers));
    assert_eq!(there_and_back(&once).as_ref(), Some(&once));
}

fn there_and_back(frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    let (source, destination) = rewrite(&mut frame, None)?;
    rewrite(&mut frame, Some((source, destination)))?;
    Some(frame)
}

/// Rewrites to these addresses, or to fixed ones of the same version. Returns the old ones.
fn rewrite(frame: &mut [u8], to: Option<(SocketAddr, SocketAddr)>) -> Option<(SocketAddr, SocketAddr)> {
    let (virtio, packet) = VirtioHeader::split(frame)?;
    let headers = Headers::parse(packet).ok()?;
    let Transport::Tcp(tcp) = &headers.transport else { return None };
    let old = (
        SocketAddr::new(headers.source, tcp.source_port),
        SocketAddr::new(headers.destination, tcp.destination_port),
    );
    let addresses = Addresses::new(4_000, Some(4_000));
    let listener = addresses.listener(old.0)?;
    let (source, destination) = to.unwrap_or((listener, listener));
    rewrite_tcp(frame.get_mut(VIRTIO_HEADER_BYTES..)?, &virtio, &headers, source, destination).ok()?;
    Some(old)
}

/// Frames of contained programs, one after the other: each after a byte that says what else happens, and its length. Limits hold, and
/// what is written to the device is well-formed.
///
/// # Panics
/// If the property does not hold.
pub fn contained_flows(input: &[u8]) {
    let mut limits = Limits::default();
    (limits.flows, limits.dials) = (4, 2);
    let mut gate = Gate::new(Addresses::new(4_000, Some(4_000)), limits);
    let mut now = Instant::now();
    let mut rest = input;
    while let [act, length, following @ ..] = rest {
        let (frame, after) = following.split_at(following.len().min((*length).into()));
        rest = after;
        let mut frame = frame.to_vec();
        let written = match gate.frame(now, &mut frame) {
            Verdict::Forward => Some(frame),
            Verdict::Reply(answer) => Some(answer),
            Verdict::Dial { flow, .. } => match act % 4 {
                0 => None,
                1 => gate.refuse(now, flow, Refusal::Refused),
                2 => gate.refuse(now, flow, Refusal::Denied),
                _ => gate.open(now, flow),
            },
            Verdict::Datagrams(datagrams) => {
                assert!(datagrams.payloads().count() > 0);
                None
            }
            Verdict::Drop(_) => None,
        };
        if let Some(written) = written {
            let packet = written.get(VIRTIO_HEADER_BYTES..).unwrap_or_default();
            assert!(Headers::parse(packet).is_ok(), "{packet:?}");
        }
        assert!(gate.flow_count() <= limits.flows && gate.dial_count() <= limits.dials);
        now += Duration::from_secs(u64::from(act / 4));
        gate.expire(now);
        while gate.next_ended().is_some() {}
    }
}
