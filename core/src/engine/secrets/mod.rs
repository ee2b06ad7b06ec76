//! Secrets: credentials whose possession is enough to use them.
//!
//! The text is searched for the few bytes that every credential contains near its start: punctuation such as `_`, `-`,
//! `=` or `:`, and the capitals of prefixes without any (`AKIA`, `AIza`, `eyJ`, `SG.`, `SK`). Around each, the matchers
//! look at a bounded number of bytes or at bytes that no other matcher looks at again, so that any text is scanned in
//! linear time.
//!
//! Quotes and backslashes end a value, so that JSON arguments can be scanned as the text they are.

mod assignment;
mod prefixes;
mod structured;
mod values;

#[cfg(test)]
mod tests;

use crate::engine::anchor::{byte_at, nearest, next_anchor};
use crate::engine::found::{Finds, Found, Kinds, kinds};
use serde::{Deserialize, Serialize};

/// What a credential gives access to, or which form it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// An access key id of Amazon Web Services, or a secret access key that is assigned to a name saying so.
    AwsKey,
    /// A GitHub token: classic and app tokens with their checksum, fine-grained ones by their form.
    GithubToken,
    /// A GitLab token.
    GitlabToken,
    /// A Slack token or webhook.
    SlackToken,
    /// A secret or restricted key of Stripe, or the secret of a webhook. Publishable keys are public.
    StripeKey,
    /// A Google API key or OAuth client secret.
    GoogleApiKey,
    /// An OpenAI key.
    OpenaiKey,
    /// An Anthropic key.
    AnthropicKey,
    /// A Hugging Face token.
    HuggingfaceToken,
    /// An npm token.
    NpmToken,
    /// A token of PyPI or TestPyPI.
    PypiToken,
    /// A SendGrid key.
    SendgridKey,
    /// A Twilio API key id, or a token that is assigned to a name saying so.
    TwilioKey,
    /// A key of an Azure storage account, service bus, AI service or application.
    AzureKey,
    /// A JSON web token, signed or encrypted, whose header names its algorithm.
    Jwt,
    /// A private key in PEM form, with its body.
    PrivateKey,
    /// A value that looks like a secret, assigned to a name that says it is one: `password = ..`, `"api_key": ".."`.
    PasswordAssignment,
    /// A URL with a password in it.
    ConnectionString,
}

kinds!(SecretKind {
    AwsKey = "aws_key": Checked,
    GithubToken = "github_token": Checked,
    GitlabToken = "gitlab_token": Checked,
    SlackToken = "slack_token": Checked,
    StripeKey = "stripe_key": Checked,
    GoogleApiKey = "google_api_key": Checked,
    OpenaiKey = "openai_key": Checked,
    AnthropicKey = "anthropic_key": Checked,
    HuggingfaceToken = "huggingface_token": Checked,
    NpmToken = "npm_token": Checked,
    PypiToken = "pypi_token": Checked,
    SendgridKey = "sendgrid_key": Checked,
    TwilioKey = "twilio_key": Checked,
    AzureKey = "azure_key": Checked,
    Jwt = "jwt": Checked,
    PrivateKey = "private_key": Checked,
    PasswordAssignment = "password_assignment": Context,
    ConnectionString = "connection_string": Form,
});

/// A set of kinds of secrets.
pub type SecretKinds = Kinds<SecretKind>;

/// Appends to `found` every credential of a wanted kind, in order of start and without overlaps. Of two that overlap, the one
/// with a format of its own stays, then the longer one.
pub fn scan(text: &str, wanted: SecretKinds, found: &mut Vec<Found<SecretKind>>) {
    if wanted.is_empty() {
        return;
    }
    let bytes = text.as_bytes();
    let mut finds = Finds::new(found, wanted);
    let mut at = 0;
    while let Some(anchor) = next_anchor(bytes, at, |byte| nearest(byte, *b"_-:=~AJGK")) {
        at = match byte_at(bytes, anchor) {
            b'_' => prefixes::at_mark(bytes, anchor, &mut finds),
            b'-' => structured::pem(bytes, anchor, &mut finds)
                .unwrap_or_else(|| prefixes::at_mark(bytes, anchor, &mut finds)),
            b':' => structured::url(bytes, anchor, &mut finds)
                .unwrap_or_else(|| assignment::at_sign(bytes, anchor, &mut finds)),
            b'=' => assignment::at_sign(bytes, anchor, &mut finds),
            b'J' => structured::jwt(bytes, anchor, &mut finds)
                .unwrap_or_else(|| prefixes::azure_service(bytes, anchor, &mut finds)),
            b'~' => prefixes::azure_application(bytes, anchor, &mut finds),
            _ => prefixes::at_capital(bytes, anchor, &mut finds),
        };
    }
}
