mod histories;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::*;
use crate::packet::Discard;

const LISTENER: u16 = 4_000;
const SYN: u8 = 2;
const ACK: u8 = 16;
const SYN_ACK: u8 = SYN | ACK;
const FIN_ACK: u8 = 1 | ACK;
const RST: u8 = 4;

/// A gate with a clock that the test moves.
struct Setup {
    gate: Gate,
    now: Instant,
}

impl Setup {
    fn new(limits: Limits) -> Self {
        let addresses = Addresses::new(LISTENER, Some(LISTENER));
        Self { gate: Gate::new(addresses, limits), now: Instant::now() }
    }

    fn frame(&mut self, frame: &mut [u8]) -> String {
        format!("{:?}", self.gate.frame(self.now, frame))
    }

    fn segment(&mut self, from: SocketAddr, to: SocketAddr, flags: u8, sequence: u32) -> Verdict<'static> {
        let mut frame = segment(from, to, flags, sequence, b"");
        match self.gate.frame(self.now, &mut frame) {
            Verdict::Forward => Verdict::Reply(frame),
            Verdict::Reply(answer) => Verdict::Reply(answer),
            Verdict::Dial { flow, client, target } => Verdict::Dial { flow, client, target },
            Verdict::Drop(why) => Verdict::Drop(why),
            Verdict::Datagrams(datagrams) => panic!("{datagrams:?}"),
        }
    }

    /// A frame that has to be answered or forwarded, as its ends, its flags and its number.
    fn written(&mut self, from: SocketAddr, to: SocketAddr, flags: u8, sequence: u32) -> Written {
        let verdict = self.segment(from, to, flags, sequence);
        let Verdict::Reply(frame) = verdict else { panic!("{verdict:?}") };
        read(&frame)
    }

    fn dial(&mut self, from: SocketAddr, to: SocketAddr, sequence: u32) -> FlowId {
        let verdict = self.segment(from, to, SYN, sequence);
        let Verdict::Dial { flow, client, target } = verdict else { panic!("{verdict:?}") };
        assert_eq!((client, target), (from, to));
        flow
    }

    /// Dials, opens and accepts. Returns where the flow comes from.
    fn open(&mut self, from: SocketAddr, to: SocketAddr, sequence: u32) -> SocketAddr {
        let flow = self.dial(from, to, sequence);
        let (source, ..) = read(&self.gate.open(self.now, flow).unwrap());
        assert_eq!(self.gate.accepted(source), Some(flow));
        source
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.gate.expire(self.now);
    }
}

type Written = (SocketAddr, SocketAddr, u8, u32);

fn read(frame: &[u8]) -> Written {
    let headers = Headers::parse(&frame[VIRTIO_HEADER_BYTES..]).unwrap();
    let Transport::Tcp(tcp) = headers.transport else { panic!("{headers:?}") };
    let source = SocketAddr::new(headers.source, tcp.source_port);
    (source, SocketAddr::new(headers.destination, tcp.destination_port), tcp.flags.0, tcp.sequence)
}

/// The type and the code of an ICMP error.
fn error(frame: &[u8]) -> (u8, u8) {
    let packet = &frame[VIRTIO_HEADER_BYTES..];
    let headers = Headers::parse(packet).unwrap();
    assert!(matches!(headers.transport, Transport::Icmp { .. }), "{headers:?}");
    (packet[headers.transport_start], packet[headers.transport_start + 1])
}

/// A segment without checksums: the gate does not look at them.
fn segment(from: SocketAddr, to: SocketAddr, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut tcp = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0, 0, 0, 9, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let length = u16::try_from(tcp.len()).unwrap();
    let mut frame = vec![0; VIRTIO_HEADER_BYTES];
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            frame.extend([from.octets(), to.octets()].concat());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([6, 64]);
            frame.extend([from.octets(), to.octets()].concat());
        }
        _ => panic!("two versions"),
    }
    frame.extend(tcp);
    frame
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A program, a target and the listener, of each version.
fn versions() -> [(SocketAddr, SocketAddr, SocketAddr); 2] {
    [
        (address("10.64.0.1:40000"), address("250.1.2.3:80"), address("10.64.0.1:4000")),
        (address("[fd00:64::1]:40000"), address("[fd00::7]:80"), address("[fd00:64::1]:4000")),
    ]
}

fn v4() -> (SocketAddr, SocketAddr) {
    let [(program, target, _), _] = versions();
    (program, target)
}

#[test]
fn a_syn_waits_for_the_dial_and_then_reaches_the_listener() {
    for (program, target, listener) in versions() {
        let mut setup = Setup::new(Limits::default());
        let flow = setup.dial(program, target, 7);
        for _ in 0..3 {
            assert_eq!(setup.segment(program, target, SYN, 7), Verdict::Drop(Dropped::Waiting));
        }
        let (source, destination, flags, sequence) = read(&setup.gate.open(setup.now, flow).unwrap());
        assert_eq!((destination, flags, sequence), (listener, SYN, 7));
        assert_eq!(setup.gate.open(setup.now, flow), None, "once");
        assert_eq!(setup.gate.refuse(setup.now, flow, Refusal::Refused), None, "it is open");
        // The kernel's SYN is repeated although the dial is over: it goes the same way.
        assert_eq!(setup.written(program, target, SYN, 7), (source, listener, SYN, 7));

        assert_eq!(setup.written(listener, source, SYN_ACK, 99), (target, program, SYN_ACK, 99));
        assert_eq!(setup.written(program, target, ACK, 8), (source, listener, ACK, 8));
        assert_eq!(setup.gate.accepted(source), Some(flow));
        assert_eq!(setup.gate.accepted(source), None, "once");
        assert_eq!(setup.written(listener, source, FIN_ACK, 100), (target, program, FIN_ACK, 100));
        assert_eq!(setup.written(program, target, FIN_ACK, 8), (source, listener, FIN_ACK, 8));
        assert_eq!(setup.gate.next_ended(), None, "it was accepted");
    }
}

#[test]
fn a_refusal_answers_the_syn_and_those_that_repeat_it() {
    let icmp = [(Refusal::HostUnreachable, (3, 1), (1, 3)), (Refusal::NetworkUnreachable, (3, 0), (1, 0))];
    for (refusal, v4, v6) in icmp.into_iter().chain([(Refusal::Denied, (3, 13), (1, 1))]) {
        for ((program, target, _), expected) in versions().into_iter().zip([v4, v6]) {
            let mut setup = Setup::new(Limits::default());
            let flow = setup.dial(program, target, 7);
            let answer = setup.gate.refuse(setup.now, flow, refusal).unwrap();
            assert_eq!(error(&answer), expected, "{refusal}");
            assert_eq!(setup.segment(program, target, SYN, 7), Verdict::Reply(answer), "once more");
            assert_ne!(setup.dial(program, target, 8), flow, "a new attempt");
        }
    }
    for (program, target, _) in versions() {
        let mut setup = Setup::new(Limits::default());
        let flow = setup.dial(program, target, 7);
        let answer = setup.gate.refuse(setup.now, flow, Refusal::Refused).unwrap();
        assert_eq!(read(&answer), (target, program, RST | ACK, 0));
        assert_eq!(setup.gate.open(setup.now, flow), None);
    }
}

#[test]
fn silence_lasts_as_long_as_the_kernel_repeats_the_syn() {
    let (program, target) = v4();
    let mut setup = Setup::new(Limits::default());
    let flow = setup.dial(program, target, 7);
    assert_eq!(setup.gate.refuse(setup.now, flow, Refusal::TimedOut), None);
    for _ in 0..2 {
        for seconds in [16, 32, 64] {
            setup.wait(Duration::from_secs(seconds));
            assert_eq!(setup.segment(program, target, SYN, 7), Verdict::Drop(Dropped::Waiting), "{seconds}");
        }
        assert_eq!(setup.gate.flow_count(), 1);
        setup.wait(Duration::from_secs(70));
        assert_eq!(setup.gate.flow_count(), 0);
        // A dial that is given up is silence, too.
        setup.dial(program, target, 7);
        setup.wait(Limits::default().dial);
    }
}

#[test]
fn a_port_that_is_used_again_at_once_is_another_flow() {
    for (program, target, listener) in versions() {
        let mut setup = Setup::new(Limits::default());
        let old = setup.open(program, target, 7);
        // The far end closes first, so the program's port is free while the listener's half lingers.
        setup.written(listener, old, FIN_ACK, 100);
        setup.written(program, target, FIN_ACK, 8);
        let flow = setup.dial(program, target, 1_000);
        let new = read(&setup.gate.open(setup.now, flow).unwrap()).0;
        assert_ne!(new, old);
        assert_eq!(setup.gate.accepted(new), Some(flow));
        // Late packets of the old half reach nobody.
        assert_eq!(setup.written(listener, old, FIN_ACK, 100), (old, listener, RST, 9));
        assert_eq!(setup.written(listener, new, SYN_ACK, 200), (target, program, SYN_ACK, 200));
        assert_eq!(setup.written(program, target, ACK, 1_001), (new, listener, ACK, 1_001));
    }
}

#[test]
fn a_program_that_gives_up_and_tries_again_gets_the_dial_under_way() {
    let (program, target) = v4();
    let mut setup = Setup::new(Limits::default());
    let flow = setup.dial(program, target, 7);
    assert_eq!(setup.segment(program, target, SYN, 1_000), Verdict::Drop(Dropped::Waiting));
    assert_eq!(setup.gate.dial_count(), 1);
    assert_eq!(read(&setup.gate.open(setup.now, flow).unwrap()).3, 1_000, "the new SYN");
}

#[test]
fn an_ended_flow_is_forgotten_and_a_living_one_is_not() {
    let [(program, target, listener), _] = versions();
    let linger = Limits::default().linger;
    let mut setup = Setup::new(Limits::default());
    let source = setup.open(program, target, 7);
    setup.written(program, target, FIN_ACK, 8);
    setup.wait(Duration::from_secs(3600));
    assert_eq!(setup.gate.next_expiry(), None, "half closed");
    setup.written(listener, source, FIN_ACK, 100);
    assert_eq!(setup.gate.next_expiry(), Some(setup.now + linger));
    setup.wait(linger);
    assert_eq!(setup.gate.flow_count(), 0);
    assert_eq!(setup.written(listener, source, ACK, 101), (source, listener, RST, 9));

    let source = setup.open(program, target, 7);
    setup.written(program, target, RST, 8);
    assert!(setup.gate.next_expiry().is_some());
    setup.written(listener, source, ACK, 9);
    assert!(setup.gate.next_expiry().is_some(), "what the other end says proves nothing");
    setup.written(program, target, ACK, 8);
    assert_eq!(setup.gate.next_expiry(), None, "it was not reset after all");
    setup.written(listener, source, RST, 8);
    setup.wait(linger);
    assert_eq!(setup.gate.flow_count(), 0);
}

#[test]
fn segments_of_no_connection_are_reset_and_resets_are_not() {
    let [(program, target, listener), _] = versions();
    let mut setup = Setup::new(Limits::default());
    assert_eq!(setup.written(program, target, ACK, 8), (target, program, RST, 9));
    assert_eq!(setup.segment(program, target, RST, 8), Verdict::Drop(Dropped::NoFlow));
    let flow = address("10.65.0.0:9");
    assert_eq!(setup.written(listener, flow, SYN_ACK, 8), (flow, listener, RST, 9));
    assert_eq!(setup.segment(listener, flow, RST, 8), Verdict::Drop(Dropped::NoFlow));
    // Nor does anything reach the listener before the dial has succeeded.
    setup.dial(program, target, 7);
    assert_eq!(setup.written(program, target, ACK, 8), (target, program, RST, 9));
    let flow = setup.gate.addresses.of_flow(FlowId(0), target);
    assert_eq!(setup.gate.accepted(flow), None);
}

#[test]
fn what_was_dialled_in_vain_is_reported_once() {
    let [(program, target, listener), _] = versions();
    let mut setup = Setup::new(Limits::default());
    let flow = setup.dial(program, target, 7);
    let source = read(&setup.gate.open(setup.now, flow).unwrap()).0;
    // The program is gone: its kernel resets what it does not know.
    setup.written(listener, source, SYN_ACK, 99);
    setup.written(program, target, RST, 8);
    setup.wait(Limits::default().linger);
    assert_eq!(setup.gate.next_ended(), Some(flow));
    assert_eq!(setup.gate.next_ended(), None);

    let flow = setup.dial(program, target, 7);
    setup.wait(Limits::default().dial);
    assert_eq!((setup.gate.next_ended(), setup.gate.dial_count()), (Some(flow), 0));
    assert_eq!(setup.gate.open(setup.now, flow), None, "too late");
    assert_eq!(setup.segment(program, target, SYN, 7), Verdict::Drop(Dropped::Waiting));
}

#[test]
fn a_flow_that_nobody_accepts_is_forgotten() {
    let [(program, target, listener), _] = versions();
    let wait = Limits::default().dial;
    let mut setup = Setup::new(Limits::default());
    let flow = setup.dial(program, target, 7);
    let source = read(&setup.gate.open(setup.now, flow).unwrap()).0;
    let until = setup.now + wait;
    assert_eq!(setup.gate.next_expiry(), Some(until));
    // A reset that was none makes it live no longer.
    setup.written(listener, source, RST, 8);
    setup.written(listener, source, SYN_ACK, 99);
    assert_eq!(setup.gate.next_expiry(), Some(until));
    setup.wait(wait);
    assert_eq!((setup.gate.next_ended(), setup.gate.flow_count()), (Some(flow), 0));
    assert_eq!(setup.gate.accepted(source), None, "too late");

    setup.open(program, target, 7);
    assert_eq!(setup.gate.next_expiry(), None, "it was accepted");

    // One that has ended before it was accepted lingers no longer for that.
    let flow = setup.dial(program, target, 1_000);
    let source = read(&setup.gate.open(setup.now, flow).unwrap()).0;
    setup.written(program, target, RST, 1_001);
    assert_eq!(setup.gate.accepted(source), Some(flow));
    assert_eq!(setup.gate.next_expiry(), Some(setup.now + Limits::default().linger));
}

#[test]
fn limits_make_syns_wait_and_ended_flows_go_first() {
    let (program, target) = v4();
    let from = |port| SocketAddr::new(program.ip(), port);
    let limits = Limits { flows: 3, dials: 2, ..Limits::default() };
    let mut setup = Setup::new(limits);
    let first = setup.dial(from(1), target, 7);
    setup.dial(from(2), target, 7);
    assert_eq!(setup.segment(from(3), target, SYN, 7), Verdict::Drop(Dropped::Full));
    setup.gate.open(setup.now, first).unwrap();
    let third = setup.dial(from(3), target, 7);
    setup.gate.open(setup.now, third).unwrap();
    assert_eq!(setup.segment(from(4), target, SYN, 7), Verdict::Drop(Dropped::Full), "none has ended");
    let _ = setup.segment(from(3), target, RST, 8);
    setup.dial(from(4), target, 7);
    assert_eq!((setup.gate.flow_count(), setup.gate.dial_count()), (3, 2));
    assert_eq!(setup.written(from(3), target, ACK, 8).2, RST, "forgotten");
    assert_eq!(setup.gate.next_ended(), Some(third));
}

#[test]
fn a_syn_with_data_is_repeated_without() {
    let (program, target) = v4();
    let mut setup = Setup::new(Limits::default());
    let mut fast_open = segment(program, target, SYN, 7, b"early");
    assert_eq!(setup.gate.frame(setup.now, &mut fast_open), Verdict::Drop(Dropped::Waiting));
    let flow = setup.dial(program, target, 7);
    // Nor does one replace the SYN that is held, or get an answer.
    let mut fast_open = segment(program, target, SYN, 1_000, b"early");
    assert_eq!(setup.gate.frame(setup.now, &mut fast_open), Verdict::Drop(Dropped::Waiting));
    assert_eq!(read(&setup.gate.open(setup.now, flow).unwrap()).3, 7);
    // That of an open flow goes the same way as the first; that of another connection leaves the flow alone.
    assert_eq!(setup.gate.frame(setup.now, &mut fast_open), Verdict::Drop(Dropped::Waiting));
    let mut repeated = segment(program, target, SYN, 7, b"early");
    assert_eq!(setup.gate.frame(setup.now, &mut repeated), Verdict::Forward);
    let flow = setup.dial(program, target, 1_000);
    assert!(setup.gate.refuse(setup.now, flow, Refusal::Refused).is_some());
    assert_eq!(setup.gate.frame(setup.now, &mut fast_open), Verdict::Drop(Dropped::Waiting));
}

#[test]
fn addresses_of_flows_lead_nowhere() {
    let mut setup = Setup::new(Limits::default());
    for (program, target) in [("10.64.0.1:1", "10.65.255.255:9"), ("[fd00:64::1]:1", "[fd00:65::ffff]:9")] {
        let verdict = setup.segment(address(program), address(target), SYN, 7);
        let Verdict::Reply(answer) = verdict else { panic!("{verdict:?}") };
        assert!(matches!(error(&answer), (3, 13) | (1, 1)));
        let mut frame = packet::datagram(address(program), address(target), b"data").unwrap();
        assert!(matches!(setup.gate.frame(setup.now, &mut frame), Verdict::Reply(_)));
    }
    // Without IPv6 in the kernel, nothing of it is dialled.
    setup.gate.addresses = Addresses::new(LISTENER, None);
    let [_, (program, target, _)] = versions();
    assert!(matches!(setup.segment(program, target, SYN, 7), Verdict::Reply(_)));
}

#[test]
fn datagrams_are_handed_out_one_by_one() {
    for (program, target, _) in versions() {
        let mut setup = Setup::new(Limits::default());
        let mut frame = packet::datagram(program, target, b"aaabbbcc").unwrap();
        for (gso_size, expected) in
            [(0, vec![&b"aaabbbcc"[..]]), (3, vec![&b"aaa"[..], b"bbb", b"cc"]), (9, vec![b"aaabbbcc"])]
        {
            frame[1] = if gso_size == 0 { 0 } else { 5 };
            frame[4..6].copy_from_slice(&u16::to_ne_bytes(gso_size));
            let verdict = setup.gate.frame(setup.now, &mut frame);
            let Verdict::Datagrams(datagrams) = verdict else { panic!("{verdict:?}") };
            assert_eq!((datagrams.client, datagrams.target), (program, target));
            assert_eq!(datagrams.payloads().collect::<Vec<_>>(), expected);
            let answer = datagrams.unreachable(Unreachable::Port).unwrap();
            assert!(matches!(error(&answer), (3, 3) | (1, 4)));
        }
        let mut empty = packet::datagram(program, target, b"").unwrap();
        let verdict = setup.gate.frame(setup.now, &mut empty);
        let Verdict::Datagrams(datagrams) = verdict else { panic!("{verdict:?}") };
        assert_eq!(datagrams.payloads().collect::<Vec<_>>(), [b""]);
        assert_eq!(Gate::datagram(program, target, b"aaabbbcc").unwrap()[30..], frame[30..]);
    }
}

#[test]
fn nothing_else_passes() {
    let mut setup = Setup::new(Limits::default());
    let (program, target) = v4();
    let changed = |at: usize, value: u8| {
        let mut frame = segment(program, target, SYN, 7, b"");
        frame[VIRTIO_HEADER_BYTES + at] = value;
        frame
    };
    for protocol in [2, 33, 41, 47, 58, 132] {
        let mut frame = changed(9, protocol);
        let Verdict::Reply(answer) = setup.gate.frame(setup.now, &mut frame) else { panic!("{protocol}") };
        assert_eq!(error(&answer), (3, 13));
    }
    for (at, value, expected) in [
        (16, 224, Dropped::NotUnicast),
        (16, 127, Dropped::NotUnicast),
        (12, 127, Dropped::NotUnicast),
        (6, 0x20, Dropped::Malformed(Discard::Fragment)),
        (0, 0x46, Dropped::Malformed(Discard::Options)),
        (3, 0, Dropped::Malformed(Discard::Length)),
    ] {
        assert_eq!(setup.gate.frame(setup.now, &mut changed(at, value)), Verdict::Drop(expected));
    }
    // ICMP: an echo request is answered, an error is not.
    let mut icmp = changed(9, 1);
    icmp[VIRTIO_HEADER_BYTES + 20] = 8;
    assert!(matches!(setup.gate.frame(setup.now, &mut icmp), Verdict::Reply(_)));
    icmp[VIRTIO_HEADER_BYTES + 20] = 3;
    assert_eq!(setup.gate.frame(setup.now, &mut icmp), Verdict::Drop(Dropped::Icmp));
    assert_eq!(setup.frame(&mut [0; 9]), "Drop(Malformed(Truncated))");
    assert_eq!(setup.gate.flow_count(), 0);
}
