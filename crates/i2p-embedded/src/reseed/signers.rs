//! The operators of reseed servers, whose signatures on reseed files are accepted. I2P's routers ship their certificates
//! (`certificates/reseed` in the sources of i2pd and Java I2P). To add one, put its file into `certificates/` and a line here.

use std::time::Duration;

use rsa::PublicKey;
use x509_cert::{
    Certificate,
    der::{DecodePem, referenced::OwnedToRef},
};

/// The name that a file gives its signer, and the signer's certificate.
const SIGNERS: [(&str, &str); 15] = [
    ("acetone@mail.i2p", include_str!("certificates/acetone_at_mail.i2p.crt")),
    ("admin@stormycloud.org", include_str!("certificates/admin_at_stormycloud.org.crt")),
    ("creativecowpat@mail.i2p", include_str!("certificates/creativecowpat_at_mail.i2p.crt")),
    ("diyarciftci@protonmail.com", include_str!("certificates/diyarciftci_at_protonmail.com.crt")),
    ("echelon3@mail.i2p", include_str!("certificates/echelon3_at_mail.i2p.crt")),
    ("hankhill19580@gmail.com", include_str!("certificates/hankhill19580_at_gmail.com.crt")),
    ("hottuna@mail.i2p", include_str!("certificates/hottuna_at_mail.i2p.crt")),
    ("i2p-reseed@mk16.de", include_str!("certificates/i2p-reseed_at_mk16.de.crt")),
    ("igor@novg.net", include_str!("certificates/igor_at_novg.net.crt")),
    ("lazygravy@mail.i2p", include_str!("certificates/lazygravy_at_mail.i2p.crt")),
    ("orignal@mail.i2p", include_str!("certificates/orignal_at_mail.i2p.crt")),
    ("r4sas-reseed@mail.i2p", include_str!("certificates/r4sas-reseed_at_mail.i2p.crt")),
    ("rambler@mail.i2p", include_str!("certificates/rambler_at_mail.i2p.crt")),
    ("reseed@diva.exchange", include_str!("certificates/reseed_at_diva.exchange.crt")),
    ("sahil@mail.i2p", include_str!("certificates/sahil_at_mail.i2p.crt")),
];

/// Returns the key of this signer while its certificate is valid. `now` is the time since the beginning of 1970.
pub(super) fn key(signer: &str, now: Duration) -> Option<PublicKey> {
    let (_, certificate) = SIGNERS.iter().find(|(name, _)| *name == signer)?;
    let certificate = Certificate::from_pem(certificate).ok()?;
    let certificate = certificate.tbs_certificate();
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    if !(from..=until).contains(&now) {
        return None;
    }
    PublicKey::try_from(certificate.subject_public_key_info().owned_to_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::traits::PublicKeyParts as _;

    /// The middle of 2026, when all certificates were valid.
    const THEN: Duration = Duration::from_secs(1_782_864_000);

    #[test]
    fn every_certificate_has_a_key_of_4096_bits() {
        for (signer, _) in SIGNERS {
            let key = key(signer, THEN).unwrap_or_else(|| panic!("{signer}"));
            assert_eq!(key.size(), 512, "{signer}");
        }
    }

    #[test]
    fn a_certificate_counts_only_while_it_is_valid() {
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(key("hottuna@mail.i2p", THEN + year).is_none());
        assert!(key("acetone@mail.i2p", THEN + year).is_some());
        assert!(key("acetone@mail.i2p", Duration::ZERO).is_none());
        assert!(key("nobody@mail.i2p", THEN).is_none());
    }
}
