use super::*;

const ANNA: ClientAddress = ClientAddress::User(1);
const BERT: ClientAddress = ClientAddress::User(2);

#[test]
fn each_cap_holds_by_itself_and_is_reported() {
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let admission =
        Admission::new(Caps { connections: 4, per_client: PerClient::AtMost(3), per_tunnel: Some(2) });
    let admit = |tunnel, client| admission.admit(tunnel, client);
    let first = admit(&a, ANNA).unwrap();
    let _second = admit(&a, ANNA).unwrap();
    assert_eq!(admit(&a, BERT).err(), Some(Limit::PerTunnel));
    let _third = admit(&b, ANNA).unwrap();
    assert_eq!(admit(&b, ANNA).err(), Some(Limit::PerClient));
    let _fourth = admit(&b, BERT).unwrap();
    assert_eq!(admit(&b, BERT).err(), Some(Limit::Connections));
    drop(first);
    assert_eq!(admission.connections(), 3);
    let _again = admit(&a, BERT).unwrap();
}

fn ended(connection: &Admitted) -> Arc<AtomicU64> {
    let ended = Arc::<AtomicU64>::default();
    let flag = Arc::clone(&ended);
    connection.make_expendable(move || flag.store(1, Relaxed));
    ended
}

/// Which of these were ended.
fn which(ended: &[Arc<AtomicU64>]) -> Vec<u64> {
    ended.iter().map(|ended| ended.load(Relaxed)).collect()
}

#[test]
fn expendable_connections_end_before_a_client_is_refused() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::new(Caps { connections: 3, ..Caps::default() });
    let admit = |client| admission.admit(&tunnel, client);
    let all = [admit(ANNA).unwrap(), admit(BERT).unwrap(), admit(BERT).unwrap()];
    assert_eq!(admit(ANNA).err(), Some(Limit::Connections));
    let flags: Vec<_> = all.iter().map(ended).collect();
    let _berts = admit(BERT).unwrap();
    assert_eq!(which(&flags), [0, 1, 0], "his own oldest");
    let _carls = admit(ClientAddress::User(3)).unwrap();
    assert_eq!(which(&flags), [1, 1, 0], "the oldest of all");
    assert_eq!(admission.connections(), 3, "those that end do not count");
    drop(all);
    assert_eq!(admission.connections(), 2);
    assert!(!admission.end_oldest_expendable(1), "nothing is kept of those that have ended");
}

#[test]
fn a_connection_that_is_used_again_is_kept_unless_it_was_ended() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::new(Caps { connections: 2, ..Caps::default() });
    let admit = |client| admission.admit(&tunnel, client);
    let all = [admit(ANNA).unwrap(), admit(BERT).unwrap()];
    let first: Vec<_> = all.iter().map(ended).collect();
    assert!(all[0].keep() && all[0].keep());
    let _berts = admit(BERT).unwrap();
    assert_eq!(which(&first), [0, 1]);
    assert!(!all[1].keep(), "it was ended");
    let again = ended(&all[1]);
    assert_eq!(admit(ANNA).err(), Some(Limit::Connections), "one that was ended makes no more room");
    let again = [again, ended(&all[0])];
    let _annas = admit(ANNA).unwrap();
    assert_eq!(which(&again), [0, 1]);
    drop(all);
    assert_eq!(admission.connections(), 2);
}

#[test]
fn only_a_connection_whose_end_makes_room_is_ended() {
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let admission =
        Admission::new(Caps { connections: 9, per_client: PerClient::AtMost(2), per_tunnel: Some(3) });
    let admit = |tunnel, client| admission.admit(tunnel, client);
    let all = [admit(&b, ANNA).unwrap(), admit(&a, BERT).unwrap(), admit(&a, BERT).unwrap()];
    let _annas = admit(&a, ANNA).unwrap();
    let flags: Vec<_> = all.iter().map(ended).collect();
    // Both her connections and those of the tunnel are as many as allowed.
    let _another = admit(&a, ANNA).unwrap();
    assert_eq!(which(&flags), [1, 1, 0]);
    // The tunnel could be given room, but she could not.
    assert_eq!(admit(&a, ANNA).err(), Some(Limit::PerClient));
    assert_eq!(which(&flags), [1, 1, 0]);
}

#[test]
fn nothing_is_ended_for_a_client_that_is_refused_all_the_same() {
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let caps = Caps { connections: 4, per_tunnel: Some(2), ..Caps::default() };
    let admission = Admission::new(caps);
    let admit = |tunnel, client| admission.admit(tunnel, client);
    let all = [
        admit(&a, ANNA).unwrap(),
        admit(&a, BERT).unwrap(),
        admit(&b, ANNA).unwrap(),
        admit(&b, BERT).unwrap(),
    ];
    let flags = [ended(&all[0])];
    // There would be room in all, but not at this tunnel.
    assert_eq!(admit(&b, BERT).err(), Some(Limit::PerTunnel));
    assert_eq!(which(&flags), [0]);
}

#[test]
fn a_client_whose_share_has_shrunk_may_replace_its_own_and_nothing_else() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::new(Caps { connections: 16, ..Caps::default() });
    let admit = |client| admission.admit(&tunnel, client);
    let annas: Vec<_> = (0..12).map(|_| admit(ANNA).unwrap()).collect();
    let _berts: Vec<_> = (0..2).map(|_| admit(BERT).unwrap()).collect();
    assert_eq!(admit(ANNA).err(), Some(Limit::PerClient));
    let flags: Vec<_> = annas[..3].iter().map(ended).collect();
    let _annas = admit(ANNA).unwrap();
    assert_eq!(which(&flags), [1, 0, 0], "one for one");
    assert_eq!(admission.connections(), 14);
}

#[test]
fn a_cap_that_a_reload_has_lowered_holds_for_the_next_connection() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::default();
    let all: Vec<_> = (0..5).map(|_| admission.admit(&tunnel, ANNA).unwrap()).collect();
    let flags: Vec<_> = all.iter().map(ended).collect();
    admission.set_caps(Caps { per_client: PerClient::AtMost(2), ..Caps::default() });
    let _annas = admission.admit(&tunnel, ANNA).unwrap();
    assert_eq!(which(&flags), [1, 1, 1, 1, 0]);
    assert_eq!(admission.connections(), 2);
}

#[test]
fn a_burst_of_expendable_connections_is_ended_at_once_for_descriptors() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::default();
    let all: Vec<_> = (0..5).map(|_| admission.admit(&tunnel, ANNA).unwrap()).collect();
    assert!(!admission.end_oldest_expendable(3));
    let flags: Vec<_> = all.iter().map(ended).collect();
    assert!(admission.end_oldest_expendable(3));
    assert_eq!(which(&flags), [1, 1, 1, 0, 0]);
    assert_eq!(admission.connections(), 2);
    drop(all);
    assert_eq!(admission.connections(), 0);
}

#[test]
fn one_client_cannot_take_all_connections_unless_the_caps_say_so() {
    let tunnel: Arc<str> = "a".into();
    for (per_client, takes) in
        [(PerClient::Share, 12), (PerClient::AtMost(16), 16), (PerClient::Unlimited, 16)]
    {
        let admission = Admission::new(Caps { connections: 16, per_client, ..Caps::default() });
        let taken: Vec<_> = std::iter::from_fn(|| admission.admit(&tunnel, ANNA).ok()).collect();
        assert_eq!(taken.len(), takes, "{per_client:?}");
        assert_eq!(admission.admit(&tunnel, BERT).is_ok(), takes < 16, "{per_client:?}");
    }
}

#[test]
fn one_client_cannot_take_all_places_to_wait_for_a_peer() {
    for per_client in [PerClient::Share, PerClient::AtMost(3)] {
        let admission = Admission::new(Caps { connections: 16, per_client, ..Caps::default() });
        let anna: Vec<_> = std::iter::from_fn(|| admission.admit_waiting(ANNA).ok()).collect();
        assert_eq!(anna.len(), 3, "{per_client:?}");
        assert_eq!(admission.admit_waiting(ANNA).err(), Some(Limit::PerClient), "{per_client:?}");
        let bert = admission.admit_waiting(BERT).unwrap();
        let carl = admission.admit_waiting(ClientAddress::User(3));
        assert_eq!(carl.err(), Some(Limit::Waiting), "{per_client:?}: all places are taken");
        drop((anna, bert));
        assert!(admission.admit_waiting(BERT).is_ok(), "{per_client:?}");
    }
}

#[test]
fn an_ipv6_network_is_one_client_and_ipv4_addresses_are_many() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::new(Caps { per_client: PerClient::AtMost(1), ..Caps::default() });
    let admit = |address: &str| admission.admit(&tunnel, ClientAddress::Ip(address.parse().unwrap()));
    let _first = admit("2001:db8::1").unwrap();
    assert!(admit("2001:db8::ffff:0:0:2").is_err());
    let _others =
        (admit("2001:db8:0:1::1").unwrap(), admit("192.0.2.1").unwrap(), admit("192.0.2.2").unwrap());
}

#[test]
fn nothing_is_kept_of_clients_that_have_left() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::default();
    drop((admission.admit(&tunnel, ANNA), admission.admit(&tunnel, BERT)));
    let counts = admission.counts();
    let kept = (counts.connections.total(), counts.connections.capacity(), counts.tunnels.capacity());
    assert_eq!(kept, (0, 0, 0));
}

#[test]
fn refusals_at_one_time_are_bounded() {
    let admission = Admission::default();
    let permits: Vec<_> = std::iter::from_fn(|| admission.permit_refusal()).collect();
    assert_eq!(permits.len(), MAX_REFUSALS_AT_ONCE);
    drop(permits);
    assert!(admission.permit_refusal().is_some());
}

fn run(process: u32) -> ClientAddress {
    ClientAddress::Contained(process)
}

#[test]
fn one_contained_program_cannot_take_all_that_they_get_together() {
    let tunnel: Arc<str> = "a".into();
    for (per_client, takes) in [(PerClient::Share, [9, 3, 0, 0]), (PerClient::AtMost(8), [6, 2, 0, 0])] {
        let admission = Admission::new(Caps { connections: 16, per_client, ..Caps::default() });
        let mut all = Vec::new();
        let taken = [0, 1, 2, 3].map(|process| {
            let before = all.len();
            all.extend(std::iter::from_fn(|| admission.admit(&tunnel, run(process)).ok()));
            all.len() - before
        });
        assert_eq!(taken, takes, "{per_client:?}");
        assert_eq!(admission.admit(&tunnel, run(9)).err(), Some(Limit::PerClient), "{per_client:?}");
        assert!(admission.admit(&tunnel, ANNA).is_ok(), "{per_client:?}");
    }
    let admission = Admission::new(Caps { per_client: PerClient::AtMost(4), ..Caps::default() });
    let waiting: Vec<_> = std::iter::from_fn(|| admission.admit_waiting(run(1)).ok()).collect();
    assert_eq!(waiting.len(), 3);
    let _another = admission.admit_waiting(run(2)).unwrap();
    assert_eq!(admission.admit_waiting(run(3)).err(), Some(Limit::PerClient));
}

#[test]
fn contained_programs_make_room_for_each_other_before_others_do() {
    let tunnel: Arc<str> = "a".into();
    for per_client in [PerClient::AtMost(2), PerClient::Unlimited] {
        let admission = Admission::new(Caps { connections: 4, per_client, ..Caps::default() });
        let admit = |client| admission.admit(&tunnel, client);
        let all = [ANNA, run(1), run(2), BERT].map(|client| admit(client).unwrap());
        let flags: Vec<_> = all.iter().map(ended).collect();
        let _new = admit(run(3)).unwrap();
        assert_eq!(which(&flags), [0, 1, 0, 0], "{per_client:?}");
        let _again = admit(run(2)).unwrap();
        assert_eq!(which(&flags), [0, 1, 1, 0], "its own first: {per_client:?}");
    }
}

#[test]
fn a_contained_program_with_its_part_replaces_only_its_own() {
    let tunnel: Arc<str> = "a".into();
    let admission = Admission::new(Caps { per_client: PerClient::AtMost(4), ..Caps::default() });
    let admit = |client| admission.admit(&tunnel, client);
    let all = [2, 1, 1, 1].map(|process| admit(run(process)).unwrap());
    let others = [ended(&all[0])];
    assert_eq!(admit(run(1)).err(), Some(Limit::PerClient));
    assert_eq!(which(&others), [0]);
    let own = [ended(&all[3])];
    let _new = admit(run(1)).unwrap();
    assert_eq!((which(&others), which(&own)), (vec![0], vec![1]));
}
