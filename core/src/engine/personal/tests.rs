#![expect(clippy::string_slice, reason = "a test may fail by a panic")]

use super::PersonalKind::{self, *};
use super::scan;
use crate::engine::checksum;
use crate::engine::found::{Found, Kinds};
use crate::engine::testdata::{BENIGN, check, check_spans};
use proptest::prelude::*;

fn all(text: &str) -> Vec<Found<PersonalKind>> {
    let mut found = Vec::new();
    scan(text, Kinds::all(), &mut found);
    found
}

#[test]
fn nothing_is_found_in_benign_sentences() {
    for line in BENIGN.lines() {
        let found: Vec<_> = all(line).iter().map(|find| (find.kind, &line[find.span.range()])).collect();
        assert_eq!(found, [], "in {line:?}");
    }
}

#[test]
fn words_and_placeholders_agree() {
    for &kind in PersonalKind::ALL {
        assert_eq!(PersonalKind::from_word(kind.as_str()), Some(kind));
        assert_eq!(kind.placeholder(), format!("[{kind}]"));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn email() {
    check(
        scan,
        Email,
        &[
            "write to «jane.doe+news@example.com».",
            "<«a_b@mail.example.co.uk»>, «x@y.io»; mailto:«z@example.org»",
            "请联系«wang@qq.com»谢谢",
            r#"{"to":"line\n«bob@example.com»"}"#,
            "«o'brien@example.ie»",
            "numbers: «12345@163.com»",
        ],
        &[
            "user@localhost",
            "a..b@example.com",
            "https://user:word@host.example/x",
            "ftp://bob@host.example",
            "git@github.com:x/y",
            "react@18.2.0",
            "icon@2x.png",
            "@user@mastodon.social",
            "pkg@1.2.3-beta.rc",
            "@@@ . @. a@.com b@-x.com",
            "x = a@b.dot(c)",
        ],
    );
}

#[test]
fn phone() {
    check(
        scan,
        Phone,
        &[
            "call «+1 415 555 0132» now",
            "«(415) 555-0132» or «415-555-0132» or «415.555.0132»",
            "«+442079460958», «+44 20 7946 0958», «+49 (0)30 1234567»",
            "UK «020 7946 0958», «07700 900123»; FR «06 12 34 56 78»; DE «0171/1234567»",
            "my phone is «5550132123»",
            "tel «555-0132»",
            "«0049 30 1234567»",
            "«1-800-555-0199»",
            r#"{"customer_phone": "«4155550132»"}"#,
            "«+44 7700 900123»\n«+4930 1234567»",
        ],
        &[
            "2024-06-11",
            "10.0.19041.1234",
            "978-3-16-148410-0",
            "id 4155550132",
            "1,415,555,0132",
            "+1 115 555 0132",
            "+12345",
            "11.06.2024 10",
            "version 415.555",
            "0.4155550132",
            "x+14155550132",
            "+262142-12-31",
            "Endless Mobile, 2017-2022",
            "0044 0323 0307",
            "0644 0623 0656",
            "const TX_RING: u32 = 2147483648",
            "00 01 02 03 04 05 06 07 08 09",
            "01 02 03 04 05 06 07 08",
            "123-45-6789",
        ],
    );
}

#[test]
fn credit_card() {
    check(
        scan,
        CreditCard,
        &[
            "«4111 1111 1111 1111»",
            "card=«4111-1111-1111-1111» 12/26 123",
            "amex «378282246310005», «3782 822463 10005»",
            "«5555555555554444»,«6011111111111117»;«30569309025904»",
            "«2223003122003222» and «3530111333300000»",
            "4 «4111 1111 1111 1111» 123",
        ],
        &[
            "4111 1111 1111 1112",
            "4111 1111 11111111",
            "0000 0000 0000 0000",
            "4111-1111 1111-1111",
            "41111111111111111111",
            "x4111111111111111",
            "0.4111111111111111",
            "4111111111111111-abc",
            "9111111111111111",
            "[4044404959645932768, 1]",
        ],
    );
}

#[test]
fn iban() {
    check(
        scan,
        Iban,
        &[
            "«GB82 WEST 1234 5698 7654 32»",
            "«DE89370400440532013000».",
            "IBAN: «FR14 2004 1010 0505 0001 3M02 606»",
            "«nl91abna0417164300»",
            "«NO93 8601 1117 947»",
        ],
        &[
            "GB82 WEST 1234 5698 7654 33",
            "DE8937040044053201300",
            "DE893704004405320130000",
            "XX82WEST12345698765432",
            "aGB82WEST12345698765432",
            "GB82west12345698765432",
        ],
    );
}

#[test]
fn us_ssn() {
    check(
        scan,
        UsSsn,
        &[
            "«123-45-6789»",
            "«123 45 6789»",
            "SSN:«123456789»",
            "social security number «078051120»",
            r"\n«123-45-6789»",
        ],
        &[
            "000-12-3456",
            "666-12-3456",
            "912-12-3456",
            "123-00-6789",
            "123-45-0000",
            "123456789",
            "123-45 6789",
            "123-45-6789-1",
            "9123-45-6789",
        ],
    );
}

#[test]
fn ip_address() {
    check(
        scan,
        IpAddress,
        &[
            "from «81.2.69.142» at",
            "http://«93.184.216.34»:8080/",
            "«2606:2800:220:1:248:1893:25c8:1946»",
            "[«2a00:1450:4001:81b::200e»]:443",
            "ip «8.8.8.8», «81.2.69.160».",
        ],
        &[
            "version 81.2.69.142",
            "v81.2.69.142",
            "10.1.2.3 192.168.1.1 172.20.1.2 127.0.0.1",
            "256.1.1.1",
            "81.2.69.142.5",
            "Chrome/120.11.12.13",
            "1.2.3.4",
            "203.0.113.7",
            "2001:db8::1 fe80::1 ::1",
            "81.02.69.142",
            "Git 1.7.12.4",
            "oid 2.5.29.18",
            "2024:06:11",
        ],
    );
}

#[test]
fn mac_address() {
    check(
        scan,
        MacAddress,
        &[
            "«00:1A:2b:3c:4d:5e»",
            "mac «aa-bb-cc-dd-ee-f0».",
            "MAC:«de:ad:be:ef:00:01»",
            "(«01-23-45-67-89-AB»)",
        ],
        &[
            "ff:ff:ff:ff:ff:ff",
            "00:1A:2b:3c:4d",
            "00:1A:2b:3c:4d:5e:6f",
            "00:1A-2b:3c:4d:5e",
            "00:1g:2b:3c:4d:5e",
            "a00:1A:2b:3c:4d:5e",
        ],
    );
}

#[test]
fn crypto_wallet() {
    check(
        scan,
        CryptoWallet,
        &[
            "«1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa»",
            "to «3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy».",
            "«bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»",
            "«BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4»",
            "«bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0»",
        ],
        &[
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
            "x1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3T4",
            "1111111111111111111111111111",
            "3aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ],
    );
}

#[test]
fn passport_mrz() {
    let passport =
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
    let escaped = passport.replace('\n', "\\n");
    let card =
        "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<";
    let second = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6";
    let marked = [passport, escaped.as_str(), card, second].map(|text| format!("see «{text}» there"));
    check(
        scan,
        PassportMrz,
        &marked.each_ref().map(String::as_str),
        &[
            &passport.replace("C36", "C37"),
            &passport.replace("<10", "<11"),
            &card.replace("<6", "<7"),
            &passport.replace("P<UTO", "X<UTO"),
            &passport.replace("BRIA", "B").replacen('<', "", 1),
            "a <<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<< b",
        ],
    );
}

#[test]
fn national_numbers() {
    check(
        scan,
        UkNhs,
        &["«943 476 5919»", "NHS number «9434765919»", "nhs no. «943-476-5919»", "«401 023 2137»"],
        &["943 476 5918", "9434765919", "943-476-5919", "phone 943 476 5919", "943 476 59190"],
    );
    check(
        scan,
        FrInsee,
        &[
            "«185057800608491»",
            "«1 85 05 78 006 084 91»",
            "«1850578006084 91»",
            "nir «2 55 08 14 168 025 38»",
        ],
        &[
            "185057800608492",
            "1 85 05 78 006 084 92",
            "185157800608491",
            "585057800608491",
            "1850578006084911",
        ],
    );
    check(
        scan,
        DeTaxId,
        &["«86095742719»", "«86 095 742 719»", "IdNr. «47036892816»", "«65929970489»"],
        &["86095742718", "06095742719", "11111111111", "860957427190", "12345678903"],
    );
    check(
        scan,
        EsDni,
        &["«12345678Z»", "DNI «12345678-Z»", "NIE «X1234567L»", "«Y-1234567-X»"],
        &["12345678A", "12345678", "X1234567A", "A12345678Z", "12345678ZZ", "20240611T"],
    );
    check(
        scan,
        BrCpf,
        &["«529.982.247-25»", "CPF «52998224725»", "cpf: «529.982.247-25».", "cpf «529982247-25»"],
        &["529.982.247-24", "52998224725", "111.111.111-11", "529.982.247.25", "529-982-247-25"],
    );
    let aadhaar = (0..10)
        .map(|digit| format!("23456789012{digit}"))
        .find(|number| checksum::verhoeff(&number.bytes().map(|byte| byte - b'0').collect::<Vec<_>>()));
    let number = aadhaar.unwrap();
    let (one, two, three) = (&number[..4], &number[4..8], &number[8..]);
    check(
        scan,
        InAadhaar,
        &[
            &format!("«{one} {two} {three}»"),
            &format!("«{one}-{two}-{three}»."),
            &format!("Aadhaar no: «{number}»"),
            &format!("UID «{number}»"),
        ],
        &[
            &number,
            &format!("{one} {two} {three} 1111"),
            &format!("32{} {two} {three}", &one[2..]),
            &format!("1{} {two} {three}", &one[1..]),
            "2222 2222 2222",
        ],
    );
}

#[test]
fn street_address() {
    check(
        scan,
        StreetAddress,
        &[
            "I live at «221B Baker Street», London",
            "«350 5th Ave», New York; «1600 Pennsylvania Avenue» NW",
            "«12 rue de Rivoli», Paris",
            "Er wohnt in der «Hauptstraße 12a» und in der «Lange Straße 5».",
            "Bitte zur «Langen Straße 5», dann zur «Neue-Markt-Straße 7» und zur «Hauptstraße 1»",
            "(«Lange Gasse 3»)",
            "«42 St. James's Square».",
            "at «2001 Odyssey Road»",
        ],
        &[
            "5 people walk down Main Street",
            "In 2008 Wall Street collapsed",
            "2 Seagate Hard Drive",
            "1st Place",
            "Copyright 2021 Iain Lane",
            "12 Main street lights",
            "the 3 Supreme Court judges",
            "Straße 5",
        ],
    );
}

#[test]
fn date_of_birth() {
    check(
        scan,
        DateOfBirth,
        &[
            "born «1990-03-05»",
            "DOB: «03/05/1990»",
            "date of birth «5 March 1990»",
            "She was born on «March 5th, 1990» in",
            "geboren am «5.3.1990»",
            "née, born «5th of March 1990».",
        ],
        &[
            "on 1990-03-05",
            "born in 1990",
            "born 1990-13-45",
            "born 12.05.1.2",
            "birthday party on 03/05/2024",
            "reborn 1990-03-05",
        ],
    );
}

#[test]
fn the_checked_reading_wins() {
    let kinds = |text: &str| all(text).iter().map(|find| find.kind).collect::<Vec<_>>();
    assert_eq!(kinds("phone 4111 1111 1111 1111"), [CreditCard]);
    assert_eq!(kinds("mail 86095742719@example.com"), [Email]);
    assert_eq!(kinds("a@example.com, +1 415 555 0132, 12345678Z"), [Email, Phone, EsDni]);
}

/// Numbers whose every digit is covered by a check.
const CHECKED: [(PersonalKind, &str); 10] = [
    (CreditCard, "4111111111111111"),
    (CreditCard, "378282246310005"),
    (Iban, "GB82WEST12345698765432"),
    (UkNhs, "943 476 5919"),
    (FrInsee, "1 85 05 78 006 084 91"),
    (DeTaxId, "86095742719"),
    (EsDni, "12345678Z"),
    (BrCpf, "529.982.247-25"),
    (CryptoWallet, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    (CryptoWallet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
];

#[test]
fn changing_one_digit_unfinds_a_checked_number() {
    for (kind, text) in CHECKED {
        let is = |text: &str| all(text).iter().any(|find| find.kind == kind);
        assert!(is(text), "{text}");
        for (at, old) in text.char_indices().filter(|(_, old)| old.is_ascii_digit()) {
            for new in ('0'..='9').filter(|&new| new != old) {
                let changed = format!("{}{new}{}", &text[..at], &text[at + 1..]);
                assert!(!is(&changed), "{changed}");
            }
        }
    }
}

/// Inputs dense in anchors must cost a bounded amount for each byte; a quadratic matcher would take minutes here.
#[test]
fn dense_input_takes_linear_time() {
    for unit in [
        "1",
        "@",
        ".",
        "a@",
        "1.",
        "1-",
        "<",
        ":",
        "A<",
        "12 ",
        "1111 ",
        "bc1",
        "aa:",
        "4111-",
        "born 1.1.",
        "2001:",
    ] {
        all(&unit.repeat(50_000 / unit.len()));
    }
}

proptest! {
    #[test]
    fn any_text_is_scanned(text in r"(?s).{0,200}") {
        check_spans(&text, &all(&text));
    }

    #[test]
    fn text_of_anchors_is_scanned(text in r"[0-9@:<>. +()/A-Fbc\\né-]{0,120}") {
        check_spans(&text, &all(&text));
    }

    #[test]
    fn a_find_stands_alone(
        parts in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(CHECKED.map(|(_, text)| text).to_vec()),
                Just("jane@example.com"), Just("+1 415 555 0132"), Just("81.2.69.142"), Just("00:1a:2b:3c:4d:5e"),
                Just("123-45-6789"), Just("12 Baker Street"), Just("x"), Just("é"),
            ],
            0..6,
        ),
        gap in proptest::sample::select(vec![" ", ", ", "\n", "; ", " é "]),
    ) {
        let text = parts.join(gap);
        for find in all(&text) {
            let alone = &text[find.span.range()];
            let again = all(alone);
            prop_assert_eq!(again.len(), 1, "{:?} in {:?}", alone, text);
            prop_assert_eq!((again[0].kind, again[0].span.range()), (find.kind, 0..alone.len()));
        }
    }
}
