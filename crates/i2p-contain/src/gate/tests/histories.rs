//! Random histories of programs, listener and driver.

use std::{net::SocketAddr, time::Duration};

use proptest::prelude::*;

use super::{ACK, FIN_ACK, RST, SYN, SYN_ACK, Setup, versions};
use crate::gate::{FlowId, Limits, Refusal, Verdict};

/// What a program, the listener or the driver does next in a random history.
#[derive(Debug, Clone)]
enum Act {
    Program { port: u16, flags: u8, sequence: u32 },
    Listener { flow: u32, flags: u8 },
    Open(u32),
    Refuse(u32),
    Accept(u32),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let flags = prop_oneof![Just(SYN), Just(ACK), Just(RST), Just(FIN_ACK), Just(SYN_ACK)];
    prop_oneof![
        4 => (0..4_u16, flags.clone(), 0..3_u32)
            .prop_map(|(port, flags, sequence)| Act::Program { port, flags, sequence }),
        2 => (0..20_u32, flags).prop_map(|(flow, flags)| Act::Listener { flow, flags }),
        3 => (0..20_u32).prop_map(Act::Open),
        1 => (0..20_u32).prop_map(Act::Refuse),
        2 => (0..20_u32).prop_map(Act::Accept),
        1 => (0..15_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    /// Whatever happens: limits hold, each flow is dialled once, and whatever was dialled is accepted once or reported as ended,
    /// and never both.
    #[test]
    fn no_history_loses_a_flow(acts in proptest::collection::vec(act(), 0..120)) {
        let limits = Limits { flows: 5, dials: 3, dial: Duration::from_secs(20), ..Limits::default() };
        let [(program, target, listener), _] = versions();
        let mut setup = Setup::new(limits);
        let (mut dialled, mut opened, mut accepted, mut ended) = (vec![], vec![], vec![], vec![]);
        for act in acts {
            match act {
                Act::Program { port, flags, sequence } => {
                    let from = SocketAddr::new(program.ip(), 1 + port);
                    if let Verdict::Dial { flow, .. } = setup.segment(from, target, flags, sequence) {
                        prop_assert!(!dialled.contains(&flow));
                        dialled.push(flow);
                    }
                }
                Act::Listener { flow, flags } => {
                    let to = setup.gate.addresses.of_flow(FlowId(flow), target);
                    let _ = setup.segment(listener, to, flags, 5);
                }
                Act::Open(flow) => {
                    if setup.gate.open(setup.now, FlowId(flow)).is_some() {
                        opened.push(FlowId(flow));
                    }
                }
                Act::Refuse(flow) => drop(setup.gate.refuse(setup.now, FlowId(flow), Refusal::Refused)),
                Act::Accept(flow) => {
                    let from = setup.gate.addresses.of_flow(FlowId(flow), target);
                    accepted.extend(setup.gate.accepted(from));
                }
                Act::Wait(seconds) => setup.wait(Duration::from_secs(seconds)),
            }
            ended.extend(std::iter::from_fn(|| setup.gate.next_ended()));
            prop_assert!(setup.gate.flow_count() <= limits.flows && setup.gate.dial_count() <= limits.dials);
        }
        // In the end, everybody closes.
        for port in 1..5 {
            let _ = setup.segment(SocketAddr::new(program.ip(), port), target, RST, 9);
        }
        setup.wait(limits.dial);
        setup.wait(limits.refusal(Refusal::TimedOut));
        ended.extend(std::iter::from_fn(|| setup.gate.next_ended()));
        prop_assert_eq!((setup.gate.flow_count(), setup.gate.dial_count()), (0, 0));
        for flow in opened {
            let ends = accepted.iter().chain(&ended).filter(|&&id| id == flow).count();
            prop_assert_eq!(ends, 1, "{:?}", flow);
            prop_assert!(dialled.contains(&flow));
        }
        prop_assert!(accepted.iter().all(|flow| dialled.contains(flow)));
    }
}
