//! The gate: decides for each packet of the contained programs what becomes of it, without I/O and without a clock.
//!
//! The kernel inside the namespace carries each TCP connection twice: from the program to the TUN device, and from the device to a
//! listener inside the same namespace. The gate rewrites the addresses between the two halves, so no TCP is implemented here.
//!
//! * A program's SYN is held, and [`Verdict::Dial`] asks for the target. Repeated SYNs are swallowed meanwhile. [`Gate::open`] lets
//!   the SYN go on to the listener; [`Gate::refuse`] answers it, so that the program's `connect` reports why.
//! * Each connection is a *flow* with a number, and to the listener it comes from an address and port of its own: see
//!   [`Addresses::of_flow`]. A number is not used again before four billion others were. So a program may use its port again at once,
//!   while the listener's half of the old connection lingers: the new connection is another flow, and no packet or accepted
//!   stream can be taken for that of another.
//! * UDP datagrams are handed out ([`Verdict::Datagrams`]), and their answers are made by [`Gate::datagram`].
//! * Everything else is answered with "administratively prohibited", or dropped if an answer is forbidden.
//!
//! The user of the gate writes the packets that it returns to the device, and calls [`Gate::expire`] at [`Gate::next_expiry`].

mod addresses;
mod expiries;
mod flow;
mod limits;
mod table;
mod verdict;

use std::{net::SocketAddr, time::Instant};

pub use self::{
    addresses::Addresses,
    flow::FlowId,
    limits::Limits,
    verdict::{Datagrams, Dropped, Refusal, Verdict},
};
use self::{
    flow::{Pair, Phase, Side},
    table::{Admission, FlowTable},
};
use crate::packet::{
    self, Headers, TcpFlags, TcpHeader, TooLong, Transport, UdpHeader, Unreachable, VIRTIO_HEADER_BYTES,
    VirtioHeader,
};

/// The state of all flows.
#[derive(Debug)]
pub struct Gate {
    addresses: Addresses,
    limits: Limits,
    flows: FlowTable,
}

impl Gate {
    /// A gate without flows.
    #[must_use]
    pub fn new(addresses: Addresses, limits: Limits) -> Self {
        Self { addresses, limits, flows: FlowTable::new() }
    }

    /// Takes a frame that was read from the device, and decides about it. For [`Verdict::Forward`], the frame was rewritten.
    pub fn frame<'a>(&mut self, now: Instant, frame: &'a mut [u8]) -> Verdict<'a> {
        let Some((virtio, packet)) = VirtioHeader::split(frame) else {
            return Verdict::Drop(Dropped::Malformed(packet::Discard::Truncated));
        };
        let headers = match Headers::parse(packet) {
            Ok(headers) => headers,
            Err(discard) => return Verdict::Drop(Dropped::Malformed(discard)),
        };
        if !Addresses::may_talk(headers.source, headers.destination) {
            return Verdict::Drop(Dropped::NotUnicast);
        }
        match &headers.transport {
            Transport::Tcp(tcp) => self.segment(now, frame, &virtio, &headers, tcp),
            Transport::Udp(udp) => {
                // Borrowed anew, for as long as the verdict lives.
                let packet = frame.get(VIRTIO_HEADER_BYTES..).unwrap_or_default();
                self.datagrams(packet, &virtio, &headers, udp)
            }
            // An error is never answered with an error (RFC 1122 section 3.2.2); an echo request is no error.
            Transport::Icmp { kind: 8 | 128 } | Transport::Other(_) => prohibited(&headers, packet),
            Transport::Icmp { .. } => Verdict::Drop(Dropped::Icmp),
        }
    }

    /// The dial has succeeded: the frame to write, which brings the SYN to the listener. `None` if the flow has ended meanwhile;
    /// nobody will come for the stream then.
    pub fn open(&mut self, now: Instant, flow: FlowId) -> Option<Vec<u8>> {
        let held = self.flows.get_mut(flow)?;
        let Phase::Dialling { syn } = &mut held.phase else { return None };
        let mut frame = std::mem::take(syn);
        let (source, pair) = (self.addresses.of_flow(flow, held.pair.target), held.pair);
        let listener = self.addresses.listener(pair.target)?;
        self.flows.become_open(now + self.limits.dial, flow);
        let (virtio, packet) = VirtioHeader::split(&frame)?;
        let headers = Headers::parse(packet).ok()?;
        let packet = frame.get_mut(VIRTIO_HEADER_BYTES..)?;
        packet::rewrite_tcp(packet, &virtio, &headers, source, listener).ok()?;
        Some(frame)
    }

    /// The dial has failed: the frame to write, which answers the SYN. `None` if the refusal is silent or the flow has ended
    /// meanwhile.
    pub fn refuse(&mut self, now: Instant, flow: FlowId, refusal: Refusal) -> Option<Vec<u8>> {
        let held = self.flows.get_mut(flow)?;
        let Phase::Dialling { syn } = &mut held.phase else { return None };
        let answer = answer_to_syn(syn, refusal);
        self.flows.become_refused(&self.limits, now, flow, refusal);
        answer
    }

    /// The flow to which a stream belongs that the listener has accepted from this address. `None` if there is none: then a program
    /// has connected to the listener by itself, or the flow has ended, and the stream is to be reset.
    pub fn accepted(&mut self, peer: SocketAddr) -> Option<FlowId> {
        let flow = self.addresses.flow_of(peer)?;
        self.flows.accept(flow).then_some(flow)
    }

    /// The next flow that has ended before the listener accepted its stream. What was dialled for it can be closed.
    pub fn next_ended(&mut self) -> Option<FlowId> {
        self.flows.next_ended()
    }

    /// Forgets what has expired.
    pub fn expire(&mut self, now: Instant) {
        self.flows.expire(&self.limits, now);
    }

    /// When to call [`expire`](Self::expire) next; `None` if nothing expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.flows.next_expiry()
    }

    /// The number of flows that are remembered.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// The number of dials under way.
    #[must_use]
    pub fn dial_count(&self) -> usize {
        self.flows.dials()
    }

    /// The frame that brings a datagram to a program.
    ///
    /// # Errors
    /// [`TooLong`] if it does not fit into an IP packet.
    pub fn datagram(from: SocketAddr, client: SocketAddr, payload: &[u8]) -> Result<Vec<u8>, TooLong> {
        packet::datagram(from, client, payload)
    }

    fn datagrams<'a>(
        &self,
        packet: &'a [u8],
        virtio: &VirtioHeader,
        headers: &Headers,
        udp: &UdpHeader,
    ) -> Verdict<'a> {
        if self.addresses.is_of_flows(headers.destination) {
            return prohibited(headers, packet);
        }
        let client = SocketAddr::new(headers.source, udp.source_port);
        let target = SocketAddr::new(headers.destination, udp.destination_port);
        let payload = packet.get(udp.payload.clone()).unwrap_or_default();
        let piece = virtio.datagram_bytes().unwrap_or(usize::MAX);
        Verdict::Datagrams(Datagrams { client, target, payload, piece, packet })
    }

    fn segment(
        &mut self,
        now: Instant,
        frame: &mut [u8],
        virtio: &VirtioHeader,
        headers: &Headers,
        tcp: &TcpHeader,
    ) -> Verdict<'static> {
        let source = SocketAddr::new(headers.source, tcp.source_port);
        let destination = SocketAddr::new(headers.destination, tcp.destination_port);
        let (side, route) = if self.addresses.listener(source) == Some(source) {
            (Side::Listener, self.to_program(destination))
        } else {
            let pair = Pair { client: source, target: destination };
            if tcp.flags.opens()
                && let Some(verdict) = self.opening(now, frame, headers, tcp, pair)
            {
                return verdict;
            }
            (Side::Program, self.to_listener(pair))
        };
        let Some((flow, source, destination)) = route else { return unknown(headers, tcp) };
        self.flows.saw(now + self.limits.linger, flow, side, tcp.flags);
        let Some(packet) = frame.get_mut(VIRTIO_HEADER_BYTES..) else { return unknown(headers, tcp) };
        match packet::rewrite_tcp(packet, virtio, headers, source, destination) {
            Ok(()) => Verdict::Forward,
            Err(discard) => Verdict::Drop(Dropped::Malformed(discard)),
        }
    }

    /// The way of a segment from the listener: its flow, and its new addresses.
    fn to_program(&self, destination: SocketAddr) -> Option<(FlowId, SocketAddr, SocketAddr)> {
        let id = self.addresses.flow_of(destination)?;
        let flow = self.flows.get(id)?;
        flow.is_open().then_some((id, flow.pair.target, flow.pair.client))
    }

    /// The way of a segment from a program, likewise.
    fn to_listener(&self, pair: Pair) -> Option<(FlowId, SocketAddr, SocketAddr)> {
        let (id, flow) = self.flows.find(pair)?;
        let listener = self.addresses.listener(pair.target).filter(|_| flow.is_open())?;
        Some((id, self.addresses.of_flow(id, pair.target), listener))
    }

    /// A SYN of a program; `None` if it repeats that of an open flow, and has to go the same way.
    fn opening(
        &mut self,
        now: Instant,
        frame: &[u8],
        headers: &Headers,
        tcp: &TcpHeader,
        pair: Pair,
    ) -> Option<Verdict<'static>> {
        let held = self.flows.find(pair);
        let repeats = held.is_some_and(|(_, flow)| flow.sequence == tcp.sequence);
        if repeats && held.is_some_and(|(_, flow)| flow.is_open()) {
            return None;
        }
        // A SYN with data (TCP Fast Open) is repeated without: the kernel does so if it gets no answer.
        if tcp.payload_bytes > 0 {
            return Some(Verdict::Drop(Dropped::Waiting));
        }
        if let Some((id, flow)) = held {
            match &flow.phase {
                Phase::Dialling { .. } if repeats => return Some(Verdict::Drop(Dropped::Waiting)),
                // The program has given up and connects again from the same port. The dial under way serves the new attempt.
                Phase::Dialling { .. } => {
                    self.flows.replace_syn(id, tcp.sequence, frame);
                    return Some(Verdict::Drop(Dropped::Waiting));
                }
                Phase::Refused(refusal) if repeats => {
                    let (answer, refusal) = (answer_to_syn(frame, *refusal), *refusal);
                    self.flows.become_refused(&self.limits, now, id, refusal);
                    return Some(answer.map_or(Verdict::Drop(Dropped::Waiting), Verdict::Reply));
                }
                // The program's end of the old connection is gone, or it would not use its port again.
                Phase::Refused(_) | Phase::Open { .. } => self.flows.remove(id),
            }
        }
        Some(self.admit(now, frame, headers, tcp, pair))
    }

    fn admit(
        &mut self,
        now: Instant,
        frame: &[u8],
        headers: &Headers,
        tcp: &TcpHeader,
        pair: Pair,
    ) -> Verdict<'static> {
        let packet = frame.get(VIRTIO_HEADER_BYTES..).unwrap_or_default();
        if self.addresses.is_of_flows(headers.destination) || self.addresses.listener(pair.target).is_none() {
            return prohibited(headers, packet);
        }
        match self.flows.admit(&self.limits, now, pair, tcp.sequence, frame) {
            Admission::Admitted(flow) => Verdict::Dial { flow, client: pair.client, target: pair.target },
            Admission::Full => Verdict::Drop(Dropped::Full),
        }
    }
}

/// The answer to a held SYN.
fn answer_to_syn(frame: &[u8], refusal: Refusal) -> Option<Vec<u8>> {
    let (_, packet) = VirtioHeader::split(frame)?;
    let headers = Headers::parse(packet).ok()?;
    let why = match refusal {
        Refusal::Refused => {
            let Transport::Tcp(tcp) = &headers.transport else { return None };
            return Some(packet::reset(&headers, tcp));
        }
        Refusal::TimedOut => return None,
        Refusal::HostUnreachable => Unreachable::Host,
        Refusal::NetworkUnreachable => Unreachable::Network,
        Refusal::Denied => Unreachable::Prohibited,
    };
    Some(packet::unreachable(&headers, packet, why))
}

/// A segment of no connection is answered with RST, and an RST with nothing.
fn unknown(headers: &Headers, tcp: &TcpHeader) -> Verdict<'static> {
    if tcp.flags.has(TcpFlags::RST) {
        Verdict::Drop(Dropped::NoFlow)
    } else {
        Verdict::Reply(packet::reset(headers, tcp))
    }
}

fn prohibited(headers: &Headers, packet: &[u8]) -> Verdict<'static> {
    Verdict::Reply(packet::unreachable(headers, packet, Unreachable::Prohibited))
}

#[cfg(test)]
mod tests;
