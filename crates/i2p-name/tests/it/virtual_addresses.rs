//! The promises of the table of virtual addresses, in examples and for any order of calls.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    num::NonZeroUsize,
    time::Duration,
};

use i2p_name::{
    AddressError, Family, I2pName, NamedTarget, Target, VirtualAddresses, VirtualOptions, VirtualRanges,
};
use proptest::prelude::*;

const EXPIRE: Duration = Duration::from_secs(60);

/// The target that a name in I2P is.
fn name(text: &str) -> NamedTarget {
    NamedTarget::I2p(I2pName::parse(text).unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn ranges(v4: &str, v6: &str) -> VirtualRanges {
    VirtualRanges::new(Some(v4.parse().unwrap()), Some(v6.parse().unwrap())).unwrap()
}

fn options() -> VirtualOptions {
    VirtualOptions { expire_after: Some(EXPIRE), ..VirtualOptions::default() }
}

fn table(options: VirtualOptions) -> VirtualAddresses<&'static str> {
    VirtualAddresses::new(options, [7; 32])
}

#[test]
fn a_name_keeps_its_address_until_it_expires() {
    let mut table = table(options());
    let address = table.address_of(&"me", &name("a.i2p"), Family::V4, seconds(0)).unwrap();
    assert!(table.is_virtual(address) && address.is_ipv4());
    assert_eq!(table.address_of(&"me", &name("a.i2p"), Family::V4, seconds(59)), Ok(address));
    assert_eq!(table.target_of(&"me", address, seconds(118)), Some(name("a.i2p")), "used at 59");
    assert_eq!(table.target_of(&"me", address, seconds(178)), None, "60 s after the last use");
    assert!(table.is_empty());
}

#[test]
fn an_address_in_use_does_not_expire() {
    let mut table = table(options());
    let address = table.address_of(&"me", &name("a.i2p"), Family::V4, seconds(0)).unwrap();
    for _ in 0..2 {
        assert_eq!(table.acquire(&"me", address, seconds(1)), Some(name("a.i2p")));
    }
    table.release(address, seconds(100));
    assert_eq!(
        table.address_of(&"me", &name("b.i2p"), Family::V4, seconds(1000)).map(|b| b == address),
        Ok(false)
    );
    assert_eq!(table.target_of(&"me", address, seconds(5000)), Some(name("a.i2p")), "one use is left");
    table.release(address, seconds(5000));
    assert_eq!(table.target_of(&"me", address, seconds(5060)), None);
}

#[test]
fn an_address_stands_for_nothing_to_other_owners() {
    let mut table = table(options());
    let mine = table.address_of(&"me", &name("a.i2p"), Family::V4, seconds(0)).unwrap();
    let yours = table.address_of(&"you", &name("a.i2p"), Family::V4, seconds(0)).unwrap();
    assert_ne!(mine, yours);
    assert_eq!(table.target_of(&"you", mine, seconds(0)), None);
    assert_eq!(table.acquire(&"you", mine, seconds(0)), None);
    // The attempts of another owner do not keep it from expiring.
    assert_eq!(table.target_of(&"you", mine, seconds(59)), None);
    assert_eq!(table.target_of(&"me", mine, seconds(60)), None);
}

#[test]
fn an_address_stands_for_a_host_outside_i2p_as_well() {
    let Ok(Target::ClearNet(host)) = Target::parse(b"Example.COM") else { panic!("a host outside I2P") };
    let host = NamedTarget::from(host);
    let mut table = table(options());
    let address = table.address_of(&"me", &host, Family::V4, seconds(0)).unwrap();
    let i2p = table.address_of(&"me", &name("example.i2p"), Family::V4, seconds(0)).unwrap();
    assert_ne!(address, i2p);
    assert_eq!(table.target_of(&"me", address, seconds(0)), Some(host.clone()));
    assert_eq!(Target::from(host.clone()), Target::parse(b"example.com").unwrap());
    assert_eq!(
        (host.to_string(), format!("{host:?}").contains("example")),
        ("example.com".to_owned(), false)
    );
}

#[test]
fn each_family_has_an_address_of_its_own() {
    let mut table = table(options());
    let v4 = table.address_of(&"me", &name("a.i2p"), Family::V4, seconds(0)).unwrap();
    let v6 = table.address_of(&"me", &name("a.i2p"), Family::V6, seconds(0)).unwrap();
    assert!(v4.is_ipv4() && v6.is_ipv6() && table.is_virtual(v6));
    assert_eq!(table.target_of(&"me", v6, seconds(0)), Some(name("a.i2p")));
    let v4_only = VirtualRanges::new(Some("10.1.0.0/16".parse().unwrap()), None).unwrap();
    let mut table = self::table(VirtualOptions { ranges: v4_only, ..options() });
    let asked = table.address_of(&"me", &name("a.i2p"), Family::V6, seconds(0));
    assert_eq!(asked, Err(AddressError::NoRange));
}

#[test]
fn a_full_table_has_room_again_once_an_address_expires() {
    let max = NonZeroUsize::new(2).unwrap();
    let mut table = table(VirtualOptions { max, ..options() });
    for host in ["a.i2p", "b.i2p"] {
        table.address_of(&"me", &name(host), Family::V4, seconds(0)).unwrap();
    }
    let more =
        |table: &mut VirtualAddresses<_>, now| table.address_of(&"me", &name("c.i2p"), Family::V4, now);
    assert_eq!(more(&mut table, seconds(59)), Err(AddressError::Full));
    assert!(
        table.address_of(&"me", &name("a.i2p"), Family::V4, seconds(59)).is_ok(),
        "known names keep their addresses"
    );
    assert!(more(&mut table, seconds(60)).is_ok(), "b has expired");
    assert_eq!(more(&mut table, seconds(60)), more(&mut table, seconds(60)));
    assert_eq!(table.len(), 2);
}

/// A table in which the first letter of an owner is its client.
fn table_of_clients(max: usize) -> VirtualAddresses<&'static str, Option<char>> {
    let options = VirtualOptions { max: NonZeroUsize::new(max).unwrap(), ..VirtualOptions::default() };
    VirtualAddresses::with_clients(options, [7; 32], |owner| owner.chars().next())
}

/// Looks up new names until none gets an address, and returns the addresses.
fn flood(
    table: &mut VirtualAddresses<&'static str, Option<char>>,
    owner: &'static str,
    now: Duration,
) -> Vec<IpAddr> {
    let host = |number| name(&format!("{number}.{owner}.i2p"));
    (0..200).map_while(|number| table.address_of(&owner, &host(number), Family::V4, now).ok()).collect()
}

#[test]
fn a_client_that_looks_up_many_names_leaves_addresses_to_others() {
    let mut table = table_of_clients(16);
    assert_eq!(flood(&mut table, "a1", seconds(0)).len(), 14);
    assert_eq!(flood(&mut table, "a2", seconds(1)).len(), 7, "of the other owner of this client");
    let others = flood(&mut table, "b1", seconds(2));
    assert_eq!(others.len(), 8, "half for each of two clients");
    assert!(flood(&mut table, "a3", seconds(3)).len() <= 4);
    for address in others {
        assert!(table.target_of(&"b1", address, seconds(4)).is_some(), "they are kept");
    }
    assert_eq!(table.len(), 16);
}

#[test]
fn a_client_has_one_share_of_both_families() {
    let mut table = table_of_clients(16);
    let of = |table: &mut VirtualAddresses<_, _>, owner: &'static str, family, count: u32, now| {
        let host = |number| name(&format!("{number}.{owner}.i2p"));
        (0..count).filter(|number| table.address_of(&owner, &host(*number), family, now).is_ok()).count()
    };
    assert_eq!(of(&mut table, "a1", Family::V4, 10, seconds(0)), 10);
    assert_eq!(of(&mut table, "a1", Family::V6, 10, seconds(0)), 4, "14 of 16 in all");
    assert_eq!(of(&mut table, "b1", Family::V4, 1, seconds(0)), 1);
    assert_eq!(of(&mut table, "c1", Family::V6, 1, seconds(0)), 1);
    assert_eq!(table.len(), 16);
    // It loses its own, not that of another client, whatever the family.
    assert_eq!(of(&mut table, "a1", Family::V6, 10, seconds(60)), 10);
    assert_eq!((of(&mut table, "b1", Family::V4, 1, seconds(61)), table.len()), (1, 16));
    // The client that holds most makes room, in the family that is asked for or in the other one.
    assert_eq!(of(&mut table, "d1", Family::V6, 4, seconds(62)), 4);
    assert_eq!(table.len(), 16);
}

#[test]
fn an_address_in_use_is_never_forgotten_for_another() {
    let mut table = table_of_clients(16);
    let held: Vec<_> = flood(&mut table, "a1", seconds(0)).into_iter().skip(4).collect();
    for address in &held {
        assert!(table.acquire(&"a1", *address, seconds(0)).is_some());
    }
    assert_eq!(flood(&mut table, "b1", seconds(1)).len(), 6, "2 were left, and 4 are not in use");
    for address in held {
        assert!(table.target_of(&"a1", address, seconds(2)).is_some());
    }
}

/// The client has its share of both families, and could give up an address of IPv6. But the range of IPv4 has none left.
#[test]
fn a_refusal_costs_nobody_an_address() {
    let options = VirtualOptions {
        ranges: ranges("240.0.0.0/30", "fd00::/64"),
        max: NonZeroUsize::new(16).unwrap(),
        ..VirtualOptions::default()
    };
    let mut table = VirtualAddresses::with_clients(options, [7; 32], |owner: &&str| owner.chars().next());
    for host in ["x.i2p", "y.i2p"] {
        let address = table.address_of(&"b1", &name(host), Family::V4, seconds(0)).unwrap();
        table.acquire(&"b1", address, seconds(0)).unwrap();
    }
    for number in 0..14 {
        let host = name(&format!("{number}.i2p"));
        assert!(table.address_of(&"a1", &host, Family::V6, seconds(0)).is_ok(), "{number}");
    }
    let more = table.address_of(&"a1", &name("more.i2p"), Family::V4, seconds(120));
    assert_eq!((more, table.len()), (Err(AddressError::Full), 16));
}

#[test]
fn a_client_with_its_share_keeps_an_address_for_a_minute_and_then_loses_the_oldest() {
    let mut table = table_of_clients(16);
    let first = flood(&mut table, "a1", seconds(0));
    assert_eq!(flood(&mut table, "a1", seconds(59)).len(), 14, "the names that it has");
    let more =
        |table: &mut VirtualAddresses<_, _>, now| table.address_of(&"a1", &name("more.i2p"), Family::V4, now);
    assert!(table.target_of(&"a1", first[0], seconds(60)).is_some());
    assert_eq!(more(&mut table, seconds(118)), Err(AddressError::Full));
    assert!(more(&mut table, seconds(119)).is_ok());
    assert!(table.target_of(&"a1", first[0], seconds(119)).is_some(), "it was used later than the others");
    assert_eq!(table.len(), 14);
}

#[test]
fn a_range_is_used_up_except_for_its_first_and_last_address() {
    let mut table = table(VirtualOptions { ranges: ranges("240.0.0.0/29", "fd00::/126"), ..options() });
    let mut given: Vec<_> = (0..6)
        .map(|n| table.address_of(&"me", &name(&format!("{n}.i2p")), Family::V4, seconds(0)).unwrap())
        .collect();
    given.sort();
    assert_eq!(given, (1..=6).map(|n| IpAddr::from([240, 0, 0, n])).collect::<Vec<_>>());
    let one_more = table.address_of(&"me", &name("more.i2p"), Family::V4, seconds(0));
    assert_eq!(one_more, Err(AddressError::Full));
    assert!(table.address_of(&"me", &name("more.i2p"), Family::V6, seconds(0)).is_ok());
}

#[test]
fn static_addresses_are_valid_for_every_owner_and_never_expire() {
    let map = BTreeMap::from([
        (ip("10.0.0.1"), name("a.i2p")),
        (ip("10.0.0.2"), name("a.i2p")),
        (ip("::ffff:240.0.0.2"), name("b.i2p")),
    ]);
    let ranges = ranges("240.0.0.0/30", "fd00::/64");
    let mut table = table(VirtualOptions { map, ranges, ..options() });
    for owner in ["me", "you"] {
        assert_eq!(table.target_of(&owner, ip("10.0.0.2"), seconds(0)), Some(name("a.i2p")));
        assert_eq!(table.address_of(&owner, &name("a.i2p"), Family::V4, seconds(9999)), Ok(ip("10.0.0.1")));
        assert_eq!(table.target_of(&owner, ip("240.0.0.2"), seconds(0)), Some(name("b.i2p")));
    }
    assert_eq!(table.acquire(&"me", ip("10.0.0.1"), seconds(0)), Some(name("a.i2p")));
    table.release(ip("10.0.0.1"), seconds(0));
    assert!(table.is_empty());
    // The range has two usable addresses, and one is static.
    assert_eq!(table.address_of(&"me", &name("c.i2p"), Family::V4, seconds(0)), Ok(ip("240.0.0.1")));
    let one_more = table.address_of(&"me", &name("d.i2p"), Family::V4, seconds(0));
    assert_eq!(one_more, Err(AddressError::Full));
}

#[test]
fn addresses_are_unpredictable() {
    let given = |seed| {
        let mut table = VirtualAddresses::new(options(), [seed; 32]);
        let addresses = (0..100).map(|n| {
            let address = table.address_of(&(), &name(&format!("{n}.i2p")), Family::V4, seconds(0)).unwrap();
            let IpAddr::V4(address) = address else { panic!("an IPv4 address") };
            address.to_bits()
        });
        addresses.collect::<Vec<_>>()
    };
    let (one, other) = (given(1), given(2));
    assert!(one.iter().zip(&other).all(|(a, b)| a != b), "the seed decides which addresses are given out");
    let near = one.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1000).count();
    assert!(near < 3, "{near} of 100 addresses are close to the one before");
}

#[test]
fn only_ranges_that_are_never_routed_are_accepted() {
    for (v4, good) in [
        ("250.0.0.0/8", true),
        ("127.192.0.0/10", true),
        ("198.18.0.0/15", true),
        ("10.9.8.7/24", true),
        ("8.8.8.0/24", false),
        ("0.0.0.0/0", false),
        ("198.18.0.0/14", false),
        ("0.0.0.0/24", false),
        ("224.0.0.0/8", false),
        ("10.0.0.0/31", false),
    ] {
        assert_eq!(VirtualRanges::new(Some(v4.parse().unwrap()), None).is_ok(), good, "{v4}");
    }
    for (v6, good) in [
        ("fd00::/64", true),
        ("fe80::/10", true),
        ("100::/64", true),
        ("2000::/3", false),
        ("::/0", false),
        ("::ffff:0:0/96", false),
        ("64:ff9b::/96", false),
        ("fd00::/127", false),
    ] {
        assert_eq!(VirtualRanges::new(None, Some(v6.parse().unwrap())).is_ok(), good, "{v6}");
    }
    let defaults = VirtualRanges::default();
    assert_eq!(VirtualRanges::new(defaults.v4(), defaults.v6()), Ok(defaults));
}

#[test]
fn debug_shows_no_names_and_addresses() {
    let mut table = table(options());
    table.address_of(&"me", &name("secret.i2p"), Family::V4, seconds(0)).unwrap();
    assert_eq!(format!("{table:?}"), "VirtualAddresses { len: 1, .. }");
}

#[derive(Debug, Clone)]
enum Call {
    Resolve { owner: usize, name: usize, family: Family },
    Acquire { owner: usize, known: usize },
    Release { held: usize },
    TargetOf { owner: usize, known: usize },
    Pass { seconds: u64 },
}

fn call() -> impl Strategy<Value = Call> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    prop_oneof![
        4 => (0..3_usize, 0..5_usize, family).prop_map(|(owner, name, family)| Call::Resolve { owner, name, family }),
        2 => (0..3_usize, 0..32_usize).prop_map(|(owner, known)| Call::Acquire { owner, known }),
        2 => (0..8_usize).prop_map(|held| Call::Release { held }),
        2 => (0..3_usize, 0..32_usize).prop_map(|(owner, known)| Call::TargetOf { owner, known }),
        2 => (0..70_u64).prop_map(|seconds| Call::Pass { seconds }),
    ]
}

/// What an address must stand for.
struct Meaning {
    owner: usize,
    name: usize,
    uses: usize,
    last_use: Duration,
}

const MAX_ADDRESSES: usize = 5;

/// How many addresses of a family there are in the ranges of the test.
fn room(family: Family) -> usize {
    if family == Family::V4 { 6 } else { 2 }
}

fn has_family(address: &IpAddr, family: Family) -> bool {
    address.is_ipv4() == (family == Family::V4)
}

fn count(meanings: &HashMap<IpAddr, Meaning>, family: Family, owner: Option<usize>) -> usize {
    let counts = |(address, meaning): &(&IpAddr, &Meaning)| {
        has_family(address, family) && owner.is_none_or(|owner| meaning.owner == owner)
    };
    meanings.iter().filter(counts).count()
}

/// The address that is forgotten for another one of `owner`: of the owner that holds most of the family and two more than this one,
/// the one that has been unused for longest.
fn forgotten(meanings: &HashMap<IpAddr, Meaning>, owner: usize, family: Family) -> Option<IpAddr> {
    let own = count(meanings, family, Some(owner));
    let mut others: Vec<_> = (0..3)
        .map(|other| (count(meanings, family, Some(other)), other))
        .filter(|(held, _)| *held >= own + 2)
        .collect();
    others.sort_unstable();
    others.into_iter().rev().find_map(|(_, other)| {
        let unused = meanings.iter().filter(|(address, meaning)| {
            has_family(address, family) && meaning.owner == other && meaning.uses == 0
        });
        unused.map(|(address, meaning)| (meaning.last_use, *address)).min().map(|(_, address)| address)
    })
}

proptest! {
    /// The ranges are so small and the times so short that addresses are reused all the time.
    #[test]
    fn any_order_of_calls_keeps_the_promises(calls in prop::collection::vec(call(), 1..200), seed in any::<[u8; 32]>()) {
        let options = VirtualOptions {
            ranges: ranges("240.0.0.0/29", "fd00::/126"),
            max: NonZeroUsize::new(MAX_ADDRESSES).unwrap(),
            ..options()
        };
        let mut table = VirtualAddresses::new(options, seed);
        let names: Vec<_> = (0..5).map(|n| name(&format!("{n}.i2p"))).collect();
        let mut now = Duration::ZERO;
        let mut meanings: HashMap<IpAddr, Meaning> = HashMap::new();
        let mut ever_given: Vec<IpAddr> = Vec::new();
        let mut held: Vec<IpAddr> = Vec::new();
        for call in calls {
            meanings.retain(|_, meaning| meaning.uses > 0 || now < meaning.last_use + EXPIRE);
            match call {
                Call::Pass { seconds } => now += Duration::from_secs(seconds),
                Call::Resolve { owner, name, family } => {
                    let of_family = |address: &IpAddr| has_family(address, family);
                    let (of_owner, taken) =
                        (count(&meanings, family, Some(owner)), count(&meanings, family, None));
                    let full = meanings.len() == MAX_ADDRESSES || taken == room(family);
                    let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
                    let of_both = of_owner + count(&meanings, other, Some(owner));
                    let has_its_share = of_owner >= room(family) || of_both >= MAX_ADDRESSES;
                    let first_to_go = forgotten(&meanings, owner, family).or_else(|| {
                        (taken < room(family)).then(|| forgotten(&meanings, owner, other)).flatten()
                    });
                    let before = meanings
                        .iter_mut()
                        .find(|(address, meaning)| of_family(address) && (meaning.owner, meaning.name) == (owner, name));
                    let answer = table.address_of(&owner, &names[name], family, now);
                    match before {
                        Some((address, meaning)) => {
                            prop_assert_eq!(answer, Ok(*address), "the address has changed");
                            meaning.last_use = now;
                        }
                        None => match answer {
                            Ok(address) => {
                                prop_assert!(of_family(&address) && table.is_virtual(address));
                                prop_assert!(!has_its_share, "the owner had its share");
                                if full {
                                    prop_assert!(first_to_go.is_some(), "there was no room");
                                    first_to_go.map(|address| meanings.remove(&address));
                                }
                                prop_assert!(!meanings.contains_key(&address), "the address is in use");
                                meanings.insert(address, Meaning { owner, name, uses: 0, last_use: now });
                                ever_given.push(address);
                            }
                            Err(error) => {
                                prop_assert_eq!(error, AddressError::Full);
                                prop_assert!(has_its_share || full && first_to_go.is_none(), "there was room");
                            }
                        },
                    }
                }
                Call::Acquire { owner, known } | Call::TargetOf { owner, known } => {
                    let Some(&address) = ever_given.get(known) else { continue };
                    let acquire = matches!(call, Call::Acquire { .. });
                    let answer = match acquire {
                        true => table.acquire(&owner, address, now),
                        false => table.target_of(&owner, address, now),
                    };
                    let meaning = meanings.get_mut(&address).filter(|meaning| meaning.owner == owner);
                    prop_assert_eq!(answer.as_ref(), meaning.as_ref().map(|meaning| &names[meaning.name]));
                    if let Some(meaning) = meaning {
                        meaning.last_use = now;
                        meaning.uses += usize::from(acquire);
                        held.extend(acquire.then_some(address));
                    }
                }
                Call::Release { held: index } => {
                    if index < held.len() {
                        let address = held.swap_remove(index);
                        table.release(address, now);
                        let meaning = meanings.get_mut(&address).unwrap();
                        meaning.uses -= 1;
                        meaning.last_use = now;
                    }
                }
            }
            prop_assert!(table.len() <= MAX_ADDRESSES);
        }
    }
}
