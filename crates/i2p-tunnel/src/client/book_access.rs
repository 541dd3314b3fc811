use super::identity::ClientAddress;

/// Which clients may read the address book and keep names in it, from the proxy's own pages. What they keep is then found by all
/// clients, and what they read tells what others have kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BookAccess {
    /// No client.
    #[default]
    Nobody,
    /// Programs of this user and of root on this machine, where the kernel tells whose they are.
    User(u32),
    /// Every client of the tunnel.
    Everybody,
}

impl BookAccess {
    pub(crate) fn allows(self, client: ClientAddress) -> bool {
        match (self, client) {
            (Self::Nobody, _) => false,
            (
                Self::User(owner),
                ClientAddress::Local { user: Some(user), .. } | ClientAddress::User(user),
            ) => user == owner || user == 0,
            (Self::User(_), _) => false,
            (Self::Everybody, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_unless_everybody_may() {
        let ip = [127, 0, 0, 1].into();
        let local = |user| ClientAddress::Local { ip, user };
        for (client, owner) in [
            (local(Some(7)), true),
            (ClientAddress::User(7), true),
            (local(Some(0)), true),
            (local(Some(8)), false),
            (local(None), false),
            (ClientAddress::User(8), false),
            (ClientAddress::Ip(ip), false),
        ] {
            assert_eq!(BookAccess::User(7).allows(client), owner, "{client}");
            assert!(BookAccess::Everybody.allows(client) && !BookAccess::Nobody.allows(client));
        }
    }
}
