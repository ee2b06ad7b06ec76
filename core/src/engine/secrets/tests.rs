#![expect(clippy::string_slice, reason = "a test may fail by a panic")]

use super::SecretKind::{self, *};
use super::scan;
use crate::engine::checksum;
use crate::engine::found::{Found, Kinds};
use crate::engine::testdata::{BENIGN, check, check_spans};
use proptest::prelude::*;

fn all(text: &str) -> Vec<Found<SecretKind>> {
    let mut found = Vec::new();
    scan(text, Kinds::all(), &mut found);
    found
}

/// Text that looks random but is not: `length` characters of letters and digits.
fn body(length: usize) -> String {
    const LETTERS: &[u8] = b"0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sTuVwXyZ";
    (0..length).map(|at| char::from(LETTERS[(at * 7 + at / 36) % LETTERS.len()])).collect()
}

fn hexadecimal(length: usize) -> String {
    (0..length).map(|at| char::from(b"0a1b2c3d4e5f6789"[at * 7 % 16])).collect()
}

/// A GitHub token with its checksum.
fn github(prefix: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = body(30);
    let crc = checksum::crc32(body.as_bytes());
    let check: String =
        (0..6).rev().map(|place| char::from(DIGITS[(crc / 62u32.pow(place) % 62) as usize])).collect();
    format!("{prefix}_{body}{check}")
}

/// Unpadded Base64 in the alphabet for URLs.
fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        out.extend((0..=three.len()).map(|at| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize])));
    }
    out
}

fn jwt(header: &str) -> String {
    format!("{}.{}.{}", base64(header), base64(r#"{"sub":"1234567890"}"#), body(43))
}

fn pem(title: &str) -> String {
    format!("-----BEGIN {title}-----\n{}\n{}\n-----END {title}-----", body(64), body(30))
}

/// One credential of each kind that has a form of its own.
fn credentials() -> Vec<(SecretKind, String)> {
    let with = |prefix: &str, length| format!("{prefix}{}", body(length));
    vec![
        (AwsKey, concat!("AKIA", "IOSFODNN7EXAMPLE").into()),
        (AwsKey, concat!("ASIA", "IOSFODNN7EXAMPLE").into()),
        (GithubToken, github("ghp")),
        (GithubToken, github("ghs")),
        (GithubToken, github("gho")),
        (GithubToken, format!("github_pat_{}_{}", body(22), body(59))),
        (GitlabToken, with("glpat-", 20)),
        (GitlabToken, with("glrt-", 20)),
        (GitlabToken, with("gldt-", 25)),
        (GitlabToken, with("glptt-", 40)),
        (SlackToken, format!("xoxb-{}-{}", "1234567890123", body(24))),
        (SlackToken, format!("xoxp-{}-{}-{}", "1234567890", "1234567890", hexadecimal(32))),
        (SlackToken, format!("xapp-1-A012345-{}-{}", "1234567890", hexadecimal(32))),
        (SlackToken, format!("https://hooks.slack.com/{}/T0123/B4567/{}", "services", body(24))),
        (StripeKey, with(concat!("sk_", "live_"), 24)),
        (StripeKey, with(concat!("rk_", "live_"), 99)),
        (StripeKey, with(concat!("sk_", "test_"), 24)),
        (StripeKey, with(concat!("whs", "ec_"), 32)),
        (GoogleApiKey, with("AIza", 35)),
        (GoogleApiKey, with("GOCSPX-", 28)),
        (OpenaiKey, with("sk-", 48)),
        (OpenaiKey, with("sk-proj-", 156)),
        (OpenaiKey, with("sk-svcacct-", 120)),
        (OpenaiKey, with("sk-admin-", 120)),
        (AnthropicKey, with(concat!("sk-", "ant-api03-"), 95)),
        (AnthropicKey, with(concat!("sk-", "ant-admin01-"), 95)),
        (AnthropicKey, with(concat!("sk-", "ant-oat01-"), 95)),
        (AnthropicKey, with(concat!("sk-", "ant-sid01-"), 95)),
        (HuggingfaceToken, with("hf_", 34)),
        (HuggingfaceToken, with("api_org_", 34)),
        (NpmToken, with("npm_", 36)),
        (PypiToken, with(concat!("pypi-", "AgEIcHlwaS5vcmc"), 100)),
        (PypiToken, with(concat!("pypi-", "AgENdGVzdC5weXBpLm9yZ"), 100)),
        (SendgridKey, format!("SG.{}.{}", body(22), body(43))),
        (TwilioKey, format!("SK{}", hexadecimal(32))),
        (AzureKey, format!("{}JQQJ99{}", body(52), body(26))),
        (AzureKey, format!("abc8Q~{}", body(34))),
        (Jwt, jwt(r#"{"alg":"HS256","typ":"JWT"}"#)),
        (Jwt, jwt(r#"{"typ":"JWT","alg":"RS256"}"#)),
        (Jwt, jwt(r#"{"kid":"abcd","alg":"ES256"}"#)),
        (
            Jwt,
            format!("{}..{}.{}.{}", base64(r#"{"alg":"dir","enc":"A256GCM"}"#), body(16), body(40), body(22)),
        ),
        (PrivateKey, pem("RSA PRIVATE KEY")),
        (PrivateKey, pem("PRIVATE KEY").replace('\n', "\\n")),
        (PrivateKey, pem("OPENSSH PRIVATE KEY")),
        (PrivateKey, pem("PGP PRIVATE KEY BLOCK")),
        (ConnectionString, "postgres://app:s3cr-t9@db.example.com:5432".into()),
        (ConnectionString, "mongodb+srv://root:Tr0ub4dor@cluster0.example.net".into()),
        (ConnectionString, "redis://:hunter22@cache:6379".into()),
        (ConnectionString, "https://bob:letmein77@host.example".into()),
    ]
}

#[test]
fn every_form_is_found_between_other_text() {
    for (kind, secret) in credentials() {
        for (before, after) in
            [("", ""), ("key ", " now"), ("\"", "\""), ("(", ")."), ("{\"a\":\"x\\n", "\\n\"}"), ("é", "é")]
        {
            let text = format!("{before}{secret}{after}");
            let found: Vec<_> = all(&text).iter().map(|find| (find.kind, &text[find.span.range()])).collect();
            assert_eq!(found, [(kind, secret.as_str())], "in {text:?}");
        }
    }
}

#[test]
fn a_shortened_or_lengthened_token_is_none() {
    use SecretKind::*;
    let fixed = [AwsKey, GithubToken, GoogleApiKey, HuggingfaceToken, NpmToken, SendgridKey, TwilioKey];
    for (kind, secret) in credentials().iter().filter(|(kind, _)| fixed.contains(kind)) {
        for text in [
            &secret[..secret.len() - 1],
            &format!("{secret}a7"),
            &format!("x{secret}"),
            &format!("_{secret}"),
        ] {
            assert!(all(text).iter().all(|find| find.kind != *kind), "{text:?}");
        }
    }
}

#[test]
fn a_wrong_checksum_is_none() {
    let token = github("ghp");
    for at in 4..token.len() {
        let new = if token.as_bytes()[at] == b'q' { 'r' } else { 'q' };
        let changed = format!("{}{new}{}", &token[..at], &token[at + 1..]);
        assert_eq!(all(&changed), [], "{changed}");
    }
}

#[test]
fn forms_without_content_are_none() {
    for text in [
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "glpat-xxxxxxxxxxxxxxxxxxxx",
        "xoxb-your-token-here-in-this-place",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "SK00000000000000000000000000000000",
        "pk_live_0aB1cD2eF3gH4iJ5kL6mN7oP",
        "sk-ant-api03-short",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0",
        "eyJub25lIjoiSFMyNTYifQ.eyJzdWIiOiIxIn0.0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sTuVw",
        "AIzaSyExample",
        "pypi-server-2.0.1",
        "AKIA1234567890123456",
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT\n-----END PUBLIC KEY-----",
        "postgres://app:${PASSWORD}@db",
        "postgres://app:<password>@db",
        "postgres://user:password@localhost",
        "http://[::1]:80/a@b and http://host:80/@x",
        "mailto:bob@example.com",
    ] {
        assert_eq!(all(text), [], "{text:?}");
    }
}

#[test]
fn password_assignment() {
    check(
        scan,
        PasswordAssignment,
        &[
            "password = «hunter2!»",
            r#"{"user": "bob", "password": "«Tr0ub4dor&3»"}"#,
            r#"{\"password\": \"«Tr0ub4dor&3»\"}"#,
            "DB_PASSWORD='«p4ssw0rt-x»'; export API_KEY=«9f8e7d6c5b4a3210ff»",
            "passwd: «s3same99».",
            "--password=«Winter2024» --user=x",
            "https://example.com/?access_token=«a8F3kk29dLQ0»&x=1",
            "Authorization: Bearer «mF9.B5f-4.1JqM»",
            "dbPass := \"«qwe123rty»\"",
            "'secret' => '«8a7b6c5d4e3f2a1b»'",
            "my api key: «9f8e7d6c5b4a3210ff»",
        ],
        &[
            "password = changeme",
            "password: <password>",
            "password=${PASS}",
            "password: xxxxxx",
            "password = os.environ['P4SS']",
            "password: example123",
            "password = user_input1",
            "password = cfg.db.pw1",
            "password: abc1",
            "compass: north123",
            "password_hint: blue1234",
            "token: EOF1",
            "token = \"https://host.example/a1b2c3\"",
            "password == Tr0ub4dor",
            "Password::new1(x)",
            "secret: \"my favorite color\"",
            "pass: Thermopylae",
        ],
    );
}

#[test]
fn names_tell_the_provider() {
    let storage = format!("{}==", body(86));
    let bus = format!("{}=", body(43));
    let kinds = |text: &str| {
        let found: Vec<_> =
            all(text).iter().map(|find| (find.kind, text[find.span.range()].to_owned())).collect();
        found
    };
    let text = format!("AccountName=x;AccountKey={storage};EndpointSuffix=core.windows.net");
    assert_eq!(kinds(&text), [(AzureKey, storage)]);
    assert_eq!(kinds(&format!("SharedAccessKey={bus}")), [(AzureKey, bus)]);
    let url = body(43);
    assert_eq!(
        kinds(&format!("https://x.blob.example/?sv=1&sig={url}%3D&se=2")),
        [(AzureKey, format!("{url}%3D"))]
    );
    assert_eq!(kinds(&format!("aws_secret_access_key = {}", body(40))), [(AwsKey, body(40))]);
    assert_eq!(kinds(&format!("TWILIO_AUTH_TOKEN={}", hexadecimal(32))), [(TwilioKey, hexadecimal(32))]);
    assert_eq!(kinds(&format!("OPENAI_API_KEY={}", github("ghp"))), [(GithubToken, github("ghp"))]);
    assert_eq!(kinds("AccountKey=short; sig=abc"), []);
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
    for &kind in SecretKind::ALL {
        assert_eq!(SecretKind::from_word(kind.as_str()), Some(kind));
        assert_eq!(kind.placeholder(), format!("[{kind}]"));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

/// Inputs dense in anchors must cost a bounded amount for each byte; a quadratic matcher would take minutes here.
#[test]
fn dense_input_takes_linear_time() {
    for unit in [
        "_",
        "-",
        "=",
        ":",
        "A",
        "J",
        "eyJ",
        "eyJ.",
        "://",
        "a://b:",
        "sk-",
        "ghp_",
        "pass=",
        "pass:",
        "pass:\"",
        "AKIA",
        "SK1",
        "Q~",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "a=",
        "pwd:a1=",
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
    fn text_of_anchors_is_scanned(text in r#"(password|token|sk|ghp|eyJ|AKIA|https|x1|é|\\|["':=/@_ .~-]){0,40}"#) {
        check_spans(&text, &all(&text));
    }

    #[test]
    fn a_find_stands_alone(parts in proptest::collection::vec(proptest::sample::select(credentials()), 0..5)) {
        let text = parts.iter().map(|(_, secret)| secret.as_str()).collect::<Vec<_>>().join(" é ");
        let found = all(&text);
        prop_assert_eq!(found.len(), parts.len());
        for (find, (kind, secret)) in found.iter().zip(&parts) {
            prop_assert_eq!((find.kind, &text[find.span.range()]), (*kind, secret.as_str()));
            prop_assert_eq!(all(secret).len(), 1);
        }
    }
}
