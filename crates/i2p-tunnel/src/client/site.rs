use i2p_name::{I2pName, Target};

/// The site that a host belongs to: for `a.b.i2p` it is `b.i2p`, which is what people register. Hosts outside I2P are sites by
/// themselves: nobody here knows where names are registered there.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Site(Target);

impl Site {
    pub(super) fn of(target: &Target) -> Self {
        Self(match target {
            Target::I2p(I2pName::Host(host)) => registered(host.as_str()).unwrap_or_else(|| target.clone()),
            // Two names of one destination.
            Target::I2p(I2pName::Destination(destination)) => Target::I2p(I2pName::B32(destination.b32())),
            target => target.clone(),
        })
    }
}

/// The last label before `.i2p`, with it.
fn registered(host: &str) -> Option<Target> {
    let labels = host.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    I2pName::parse(host.get(labels..)?).ok().map(Target::I2p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_what_people_register() {
        let site = |host: &str| Site::of(&Target::parse(host.as_bytes()).unwrap());
        for same in ["b.i2p", "a.b.i2p", "x.a.b.i2p", "A.B.I2P."] {
            assert!(site(same) == site("b.i2p"), "{same}");
        }
        let b32 = format!("{}.b32.i2p", "a".repeat(52));
        for other in ["c.i2p", "b.c.i2p", "ab.i2p", &b32, "b.com", "a.b.com", "198.51.100.7"] {
            assert!(site(other) != site("b.i2p"), "{other}");
        }
        assert!(site("a.b.com") != site("b.com"));
        assert!(site(&b32) != site(&format!("{}.b32.i2p", "b".repeat(51) + "a")));
    }
}
