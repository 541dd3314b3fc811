//! Hosts that a person, or a program that decodes them, takes for names in I2P: no spelling of them is a host outside I2P.

use i2p_name::{NameError, Target};
use proptest::prelude::*;

/// Ends of hosts in place of `.i2p`, separated by blanks.
const ENDS: &[&str] = &[
    // Case, dots, and the suffix of RFC 9476.
    "I2P i2P I2p i2p. i2p.alt i2p.ALT. i2p.aLt i2p\u{3002} i2p\u{ff0e} i2p\u{ff61} i2p\u{3002}alt \
     i2p.alt\u{ff0e}",
    // Characters that UTS 46 maps to those of i2p.
    "ｉ２ｐ Ｉ２Ｐ ⅰ2p Ⅰ2p i²p i₂p i②p i2ᵖ i2ⓟ ⓘ②ⓟ 𝐢𝟐𝐩 𝗂𝟤𝗉 𝓲𝟚𝓹 𝚒𝟸𝚙 ⁱ²ᵖ i2𝔭 ℐ2ℙ ı2p ℹ2p i🄃p 🄸2🄿 i2\u{1f15f} \
     \u{1f1ee}2\u{1f1f5}",
    // Invisible characters.
    "i\u{ad}2p i2p\u{200b} \u{200b}i2p i2\u{2060}p i2p\u{feff} i\u{180e}2p i2p\u{200c} i\u{200d}2p \
     i2p\u{fe0f} i2p\u{e0100} i2p\u{115f} i\u{3164}2p i2p\u{ffa0} i2p\u{34f} \u{202e}p2i i2p\u{2800}",
    // Letters and digits of other scripts.
    "\u{456}2p i2\u{440} \u{456}2\u{440} \u{406}2\u{420} \u{4cf}2p \u{4c0}2p \u{3b9}2\u{3c1} \
     \u{399}2\u{3a1} i2\u{3f1} \u{269}2p \u{26a}2\u{1d18} \u{13a5}2\u{13e2} i2\u{2ca3} \u{2c93}2p \
     i2\u{146d} i2\u{fe} \u{5d5}2p \u{627}2p ا٢p i٢p i۲p i२p i২p i૨p i௨p i๒p i༢p i២p i\u{1042}p i\u{1a8}p \
     i\u{3e9}p i\u{a645}p i\u{14bf}p i\u{a6ef}p i\u{104a2}p",
    // Accents.
    "\u{ed}2p \u{ec}2p \u{ef}2p i2\u{1e57} i\u{301}2p i2p\u{323} i\u{308}2\u{308}p\u{308} \u{12f}2p \
     i2\u{1a5} i2\u{1d7d} \u{142}2p",
    // Letters that look alike in ASCII.
    "l2p L2P 12p 12P",
    // Punctuation.
    "i2p_ _i2p i2p- -i2p --i2p-- i_2p i-2-p i2p__ i2p._ i2p.- i2p_.alt i2p.alt_ i2p-.-._ i2p· i2p\u{2bc} \
     i2p\u{2019} i2p\u{30fb} i2p\u{1f4a9} i2p.\u{1f4a9} i2p\u{589} i2p\u{2024}",
    // The suffix of RFC 9476 in disguise.
    "i2p.\u{430}lt i2p.a1t i2p.ait i2p.al\u{442} i2p.\u{e1}lt l2p.alt \u{456}2p.alt i2p.αlt",
    // Labels in ASCII that are decoded to one of these, or to something that is one of these after UTS 46.
    "xn--i2p- XN--I2P- xn--i2p-.alt i2p.xn--alt- xn--2p-goc xn--2p-mja xn--i2-mmc xn--xn--i2p-- xn--i2p-- \
     xn--i2p_- xn-- xn--l2p- xn--i2p-\u{301}",
];

fn ends() -> impl Iterator<Item = &'static str> {
    ENDS.iter().flat_map(|group| group.split(' '))
}

#[test]
fn no_disguise_is_a_host_outside_i2p() {
    assert!(ends().count() > 130);
    for end in ends() {
        for host in
            [format!("secret.{end}"), format!("a.b.{end}"), format!("secret\u{3002}{end}"), end.to_owned()]
        {
            let parsed = Target::parse(host.as_bytes());
            assert!(!matches!(parsed, Ok(Target::ClearNet(_))), "{host:?}");
        }
    }
}

/// The same ends, encoded by a program that maps nothing.
#[test]
fn no_encoded_disguise_is_a_host_outside_i2p() {
    for end in ends() {
        let encode = |label: &str| idna::punycode::encode_str(label).map(|encoded| format!("xn--{encoded}"));
        let labels: Option<Vec<_>> = end.split('.').map(encode).collect();
        let whole = encode(end).filter(|_| !end.contains('.'));
        for encoded in [whole, labels.map(|labels| labels.join("."))].into_iter().flatten() {
            let parsed = Target::parse(format!("secret.{encoded}").as_bytes());
            assert!(!matches!(parsed, Ok(Target::ClearNet(_))), "{end:?} as {encoded}");
        }
    }
}

#[test]
fn the_reason_is_the_look() {
    for host in ["a.i2p_", "a.i2p-", "a.\u{456}2p", "a.xn--2p-goc", "a.l2p", "a.i२p", "a.i2p._"] {
        assert_eq!(Target::parse(host.as_bytes()), Err(NameError::LooksLikeI2p), "{host}");
    }
    for host in ["a.xn--i2p-", "a.xn--com-", "a.xn--onion-", "a.xn--", "a.xn--99999999999"] {
        assert_eq!(Target::parse(host.as_bytes()), Err(NameError::International), "{host}");
    }
}

/// The international top-level domains of the root zone, after `xn--`.
const IDN_TOP_LEVEL: &str = "11b4c3d 1ck2e1b 1qqw23a 2scrj9c 30rr7y 3bst00m 3ds443g 3e0b707e 3hcrj9c 3pxu8k 42c2d9a 45br5cyl \
    45brj9c 45q11c 4dbrk0ce 4gbrim 54b7fta0cc 55qw42g 55qx5d 5su34j936bgsg 5tzm5g 6frz82g 6qq986b3xl \
    80adxhks 80ao21a 80asehdb 80aswg 90a3ac 90ae 90ais 9dbq2a 9et52u 9krt00a c1avg c2br7g cck2b3b \
    clchc0ea0b2g2a9gcd czr694b czrs0t d1acj3b d1alf e1a4c eckvdtc9d efvy88h fct429k fhbei fiq228c5hs \
    fiq64b fiqs8s fiqz9s fjq720a flw351e fpcrj9c3d fzc2c9e2c fzys8d69uvgm g2xx48c gckr3f0f gecrj9c \
    h2breg3eve h2brj9c h2brj9c8c hxt814e i1b6b1a6a2e imr513n io0a7i j1aef j1amh j6w193g jlq480n2rg \
    jvr189m kcrx77d1x4a kprw13d kput3i l1acc lgbbat1ad8j mgb9awbf mgba3a3ejt mgba3a4f16a mgbaam7a8h \
    mgbab2bd mgbah1a3hjkrd mgbai9azgqp6j mgbayh7gpa mgbbh1a mgbc0a9azcg mgbca7dzdo mgbcpq6gpa1a \
    mgberp4a5d4ar mgbgu82a mgbi4ecexp mgbpl2fh mgbt3dhd mgbtx2b mgbx4cd0ab mix891f mk1bu44c mxtq1m \
    ngbc5azd ngbe9e0a ngbrx node nqv7f nqv7fs00ema nyqy26a o3cw4h ogbpf8fl otu796d p1acf p1ai pgbs0dh \
    pssy2u q7ce6a q9jyb4c qcka1pmc qxa6a qxam rhqv96g rovu88b rvc1e0am3e s9brj9c ses554g t60b56a tckwe \
    tiq49xqyj unup4y vermgensberater-ctb vermgensberatung-pwb vhquv vuq861b w4r85el8fhu5dnra w4rs40l \
    wgbh1c wgbl6a xhq521b xkc2al3hye2a xkc2dl3a5ee0h y9a3aq yfro4i67o ygbi2ammx zfr164b";

/// Top-level domains of the root zone, and hosts in which something that looks like `i2p` stands elsewhere.
#[test]
fn hosts_outside_i2p_are_not_mistaken_for_disguises() {
    for host in [
        "i2p.example",
        "i2p_.example.com",
        "i2p.alt.example",
        "l2p.net",
        "12p.org",
        "xn--i2p-.com",
        "exampleXi2p",
        "a.xi2p",
        "a.i2pp",
        "a.ip2",
        "a.2ip",
        "a.i2",
        "a.alt",
        "a.ait",
        "_srv._tcp.example.com",
        "my_host",
        "my-host-",
        "a.onion",
        "router.lan",
        "i2p.xn--p1ai",
        "i2p.рф",
        "пример.рф",
        "例え.テスト",
        "faß.de",
        "xn--fa-hia.de",
        "☕.example",
        "xn--53h.example",
        "xn--bogus.example",
        "ab--cd.example",
        "xn--i-7iq.ws",
    ] {
        assert!(matches!(Target::parse(host.as_bytes()), Ok(Target::ClearNet(_))), "{host}");
    }
    for domain in IDN_TOP_LEVEL.split(' ') {
        let host = format!("example.xn--{domain}");
        assert!(matches!(Target::parse(host.as_bytes()), Ok(Target::ClearNet(_))), "{host}");
    }
}

fn one_of(chars: &'static str) -> impl Strategy<Value = String> {
    prop::sample::select(chars.chars().collect::<Vec<_>>()).prop_map(String::from)
}

/// `i2p` in letters and digits of many scripts, with things between them that nobody sees.
fn disguise() -> impl Strategy<Value = String> {
    let unseen = || "[-_\u{301}\u{308}\u{ad}\u{200b}\u{2bc}·]{0,2}";
    let letters = (
        one_of("iIlL1ｉⅰ𝐢ⓘìíîïĩīıɩɪιΙіІӀӏᎥ١۱|ا"),
        one_of("22222２²②𝟐٢۲२২੨૨୨௨౨೨๒໒༢၂២᠒ƧƨϨᒿꙄꛯ𐒢"),
        one_of("pPｐⓟ𝐩ṗƥρΡϱрРҏᏢᑭⲣꓑᴘþᵽ"),
    );
    (unseen(), letters, unseen(), unseen(), unseen())
        .prop_map(|(a, (i, two, p), b, c, d)| format!("{a}{i}{b}{two}{c}{p}{d}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn disguises_are_never_outside_i2p(
        host in "[a-z0-9]{1,8}", end in disguise(), encoded: bool, alt in prop_oneof!["", "\\.(a|а|α)(l|1|і)(t|т)", "\\.[-_]{1,2}"], dot: bool
    ) {
        let end = match idna::punycode::encode_str(&end) {
            Some(label) if encoded => format!("xn--{label}"),
            _ => end,
        };
        let name = format!("{host}.{end}{alt}{}", if dot { "." } else { "" });
        prop_assert!(!matches!(Target::parse(name.as_bytes()), Ok(Target::ClearNet(_))), "{:?}", name);
    }
}
