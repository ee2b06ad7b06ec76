//! Settings: who switched what. Data from the host, never from message text.

use crate::authority::Principal;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// The position of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// The behavior is on.
    On,
    /// The behavior is off.
    Off,
}

/// What one principal set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrincipalSettings {
    /// Clauses switched on or off.
    #[serde(deserialize_with = "distinct")]
    pub switch: BTreeMap<String, Switch>,
    /// Clauses that nobody below may lift.
    pub lock: Vec<String>,
    /// Clauses over which those below may use this principal's power.
    pub grant: Vec<String>,
    /// Facts about the deployment.
    pub tags: Vec<String>,
}

/// What the host knows about the conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Guidelines that the conversation implicitly sets aside.
    pub yields: Vec<String>,
    /// Facts about it, such as `under_18`.
    pub tags: Vec<String>,
}

/// What an agent may do in a deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Tools it may call; a trailing `*` stands for any ending. Any tool where this is absent.
    pub allowed_tools: Option<Vec<String>>,
    /// Bound on the host's signal `cost`.
    pub max_cost: Option<f64>,
    /// Bound on the host's signal `time`, in Unix seconds.
    pub latest_time: Option<f64>,
    /// A condition by tool name that its arguments must meet.
    #[serde(deserialize_with = "distinct")]
    pub tool_constraints: BTreeMap<String, String>,
}

/// A map in which no key stands twice: which of the two is meant would be a guess.
fn distinct<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Distinct<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Distinct<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, V>()? {
                if out.contains_key(&key) {
                    return Err(de::Error::custom("a key stands twice"));
                }
                out.insert(key, value);
            }
            Ok(out)
        }
    }

    deserializer.deserialize_map(Distinct(PhantomData))
}

/// The settings of a deployment, or of one request.
///
/// # Which tables may stand where?
///
/// A deployment's settings hold `system`, `operator`, `context` and `scope`. A request's settings hold `user` and
/// `context`: only the user waives a protection, so the operator's file has no `user` table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the platform set.
    pub system: PrincipalSettings,
    /// What the deployer set.
    pub operator: PrincipalSettings,
    /// What the user set.
    pub user: PrincipalSettings,
    /// What the host knows.
    pub context: Context,
    /// Tags in short, the same as those of `context`.
    pub tags: Vec<String>,
    /// What an agent may do.
    pub scope: Option<Scope>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not valid TOML, an unknown key, or a wrong type.
    #[error("cannot read settings: {0}")]
    Toml(#[from] toml::de::Error),
    /// A table that may not stand there.
    #[error("`{table}` cannot be set {place}")]
    Misplaced {
        /// The table.
        table: &'static str,
        /// Where it stood.
        place: &'static str,
    },
    /// They name clauses that do not exist or ask for more than they may.
    #[error("settings refused:\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<super::SettingProblem>),
}

impl Settings {
    /// Reads a deployment's settings from TOML. Whether a policy accepts them is decided when a guard is built.
    ///
    /// # Errors
    /// If the text is not valid TOML, holds an unknown key, or a `user` table.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text)?;
        settings.check_deployment()?;
        Ok(settings)
    }

    pub(crate) fn check_deployment(&self) -> Result<(), SettingsError> {
        if self.user != PrincipalSettings::default() {
            return Err(SettingsError::Misplaced { table: "user", place: "in a deployment's settings" });
        }
        Ok(())
    }

    pub(crate) fn check_request(&self) -> Result<(), SettingsError> {
        let place = "by a request";
        for (table, settings) in [("system", &self.system), ("operator", &self.operator)] {
            if *settings != PrincipalSettings::default() {
                return Err(SettingsError::Misplaced { table, place });
            }
        }
        let PrincipalSettings { switch: _, lock, grant, tags } = &self.user;
        for (table, list) in [("user.lock", lock), ("user.grant", grant), ("user.tags", tags)] {
            if !list.is_empty() {
                return Err(SettingsError::Misplaced { table, place });
            }
        }
        if self.scope.is_some() {
            return Err(SettingsError::Misplaced { table: "scope", place });
        }
        Ok(())
    }

    /// The table of a principal.
    pub fn of(&self, principal: Principal) -> &PrincipalSettings {
        match principal {
            Principal::System => &self.system,
            Principal::Operator => &self.operator,
            Principal::User => &self.user,
        }
    }

    /// Every tag these settings carry.
    pub fn all_tags(&self) -> impl Iterator<Item = &str> {
        [&self.system.tags, &self.operator.tags, &self.context.tags, &self.tags]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// These settings with `other` laid over them: its switches win, its lists are added, its scope replaces.
    #[must_use]
    pub fn overlaid(&self, other: &Self) -> Self {
        fn add(to: &mut Vec<String>, from: &[String]) {
            for item in from {
                if !to.contains(item) {
                    to.push(item.clone());
                }
            }
        }
        fn lay(to: &mut PrincipalSettings, from: &PrincipalSettings) {
            to.switch.extend(from.switch.iter().map(|(id, &switch)| (id.clone(), switch)));
            add(&mut to.lock, &from.lock);
            add(&mut to.grant, &from.grant);
            add(&mut to.tags, &from.tags);
        }
        let mut out = self.clone();
        lay(&mut out.system, &other.system);
        lay(&mut out.operator, &other.operator);
        lay(&mut out.user, &other.user);
        add(&mut out.context.yields, &other.context.yields);
        add(&mut out.context.tags, &other.context.tags);
        add(&mut out.tags, &other.tags);
        if other.scope.is_some() {
            out.scope.clone_from(&other.scope);
        }
        out
    }
}
