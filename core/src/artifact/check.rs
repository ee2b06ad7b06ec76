//! Everything the engine relies on, checked once when an artifact is loaded.

use crate::compiler::{
    MAX_ATOMS, MAX_CLAUSES, MAX_LITERAL_BYTES, MAX_PATTERNS, MAX_REGEX_MATCH, MAX_REGEX_TESTS, MAX_RULES,
    MIN_PATTERN_BYTES,
};
use crate::engine::matcher::build_regex;
use crate::policy::{
    ArgumentTest, Atom, Calibrated, Clause, Comparison, Condition, Force, Head, Kind, LABELS, MAX_DIMENSIONS,
    MAX_HEADS, MAX_HOLD_CHARS, MAX_HOLD_MS, PatternKind, PolicyData, Rule, TextTest, Threshold, Trigger,
};
use std::collections::HashSet;

/// How many pattern sets a policy may hold.
const MAX_SETS: usize = 100_000;
/// The longest text of any kind in a policy, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// How many texts may trigger one regular expression.
const MAX_TRIGGERS: usize = 256;

pub(super) fn check(data: &PolicyData) -> Result<(), String> {
    limit("clauses", data.clauses.len(), MAX_CLAUSES)?;
    limit("patterns", data.patterns.len(), MAX_PATTERNS)?;
    limit("rules", data.rules.len(), MAX_RULES)?;
    limit("atoms", data.atoms.len(), MAX_ATOMS)?;
    limit("sets", data.sets.len(), MAX_SETS)?;
    let mut ids = HashSet::new();
    for clause in &data.clauses {
        check_clause(clause)?;
        if !ids.insert(clause.id.as_str()) {
            return Err(format!("two clauses have the id `{}`", clause.id));
        }
    }
    for rule in &data.rules {
        check_rule(rule, data)?;
    }
    let tests = data.atoms.iter().filter(|atom| atom.is_regex_test()).count();
    limit("tests by regular expressions", tests, MAX_REGEX_TESTS)?;
    for atom in &data.atoms {
        check_atom(atom, data)?;
    }
    let mut patterns = HashSet::new();
    for pattern in &data.patterns {
        check_pattern(&pattern.kind)?;
        if !patterns.insert(&pattern.kind) {
            return Err(format!(
                "the pattern `{}` stands twice",
                pattern.written.chars().take(80).collect::<String>()
            ));
        }
    }
    for set in &data.sets {
        limit("patterns of a set", set.patterns.len(), MAX_PATTERNS)?;
        for &pattern in &set.patterns {
            index("pattern", pattern, data.patterns.len())?;
        }
    }
    limit("characters held back", data.streaming.hold_chars as usize, MAX_HOLD_CHARS as usize)?;
    limit("milliseconds of waiting", data.streaming.hold_ms.unwrap_or(0) as usize, MAX_HOLD_MS as usize)?;
    if let Some(calibrated) = &data.calibrated {
        check_calibrated(calibrated, data)?;
    }
    data.settings.check_deployment().map_err(|error| error.to_string())?;
    let (_, problems) = Force::new(&data.clauses, data.settings.clone());
    match problems.first() {
        Some(problem) => Err(format!("settings refused: {problem}")),
        None => Ok(()),
    }
}

fn check_calibrated(calibrated: &Calibrated, data: &PolicyData) -> Result<(), String> {
    for text in [&calibrated.name, &calibrated.version, &calibrated.hash] {
        limit("bytes of a name of models", text.len(), 256)?;
    }
    limit("thresholds", calibrated.thresholds.len(), 5 * data.atoms.len())?;
    for point in &calibrated.thresholds {
        index("atom", point.atom, data.atoms.len())?;
        if !(0.0..=1.0).contains(&point.threshold) {
            return Err(format!("a threshold of {}", point.threshold));
        }
    }
    limit("heads", calibrated.heads.len(), MAX_HEADS)?;
    let mut clauses = HashSet::new();
    for Head { clause, weights, bias } in &calibrated.heads {
        index("clause", *clause, data.clauses.len())?;
        limit("weights of a head", weights.len(), MAX_DIMENSIONS)?;
        if !clauses.insert(clause) {
            return Err(format!("two heads for the clause {clause}"));
        }
        if !weights.iter().chain([bias]).all(|value| value.is_finite()) {
            return Err(format!("the head for the clause {clause} holds values that are no numbers"));
        }
    }
    Ok(())
}

fn limit(what: &str, len: usize, max: usize) -> Result<(), String> {
    if len > max { Err(format!("{len} {what}; at most {max} are allowed")) } else { Ok(()) }
}

fn index(what: &str, at: u32, len: usize) -> Result<(), String> {
    if (at as usize) < len { Ok(()) } else { Err(format!("{what} {at} does not exist: there are {len}")) }
}

fn check_clause(clause: &Clause) -> Result<(), String> {
    limit(
        "bytes of a clause's text",
        clause.id.len() + clause.title.len() + clause.rationale.len(),
        MAX_TEXT,
    )?;
    let switchable = matches!(clause.kind, Kind::DefaultOn | Kind::DefaultOff);
    if clause.switch.is_some_and(|principal| !switchable || !principal.reaches(clause.level)) {
        return Err(format!("`{}` has a switch beyond its level or kind", clause.id));
    }
    if clause.waivable && clause.kind != Kind::Protection {
        return Err(format!("`{}` is waivable and no protection", clause.id));
    }
    Ok(())
}

fn check_rule(rule: &Rule, data: &PolicyData) -> Result<(), String> {
    index("clause", rule.clause, data.clauses.len())?;
    let Some(clause) = data.clauses.get(rule.clause as usize) else { return Ok(()) };
    if rule.on.is_empty() || !rule.on.is_valid() {
        return Err(format!("a rule of `{}` names no surface, or one that does not exist", clause.id));
    }
    let valid = |condition: &Condition| condition.is_valid(data.atoms.len());
    if !valid(&rule.when) || !rule.unless.as_ref().is_none_or(valid) {
        return Err(format!("a condition of `{}` is malformed", clause.id));
    }
    if clause.kind == Kind::Hard && rule.unless.is_some() {
        return Err(format!("the hard clause `{}` has an excuse", clause.id));
    }
    for &target in &rule.exempts {
        index("clause", target, data.clauses.len())?;
        let reaches = data.clauses.get(target as usize).is_some_and(|target| {
            clause.kind == Kind::Exception && target.kind != Kind::Hard && target.level <= clause.level
        });
        if !reaches {
            return Err(format!("`{}` lifts what it may not", clause.id));
        }
    }
    Ok(())
}

fn check_atom(atom: &Atom, data: &PolicyData) -> Result<(), String> {
    let finite = |compare: &Comparison| {
        if compare.bound().is_finite() { Ok(()) } else { Err("a comparison with no number".to_string()) }
    };
    match atom {
        Atom::Match { set, .. } => index("set", *set, data.sets.len()),
        Atom::Count { set, compare, .. } => {
            index("set", *set, data.sets.len()).and_then(|()| finite(compare))
        }
        Atom::Near { first, second, .. } => {
            index("set", *first, data.sets.len()).and_then(|()| index("set", *second, data.sets.len()))
        }
        Atom::Label { label, threshold, .. } => {
            index("label", u32::from(*label), LABELS.len())?;
            match threshold {
                Threshold::AtFpr(rate) if *rate > 0.0 && *rate < 1.0 => Ok(()),
                Threshold::AtFpr(_) => Err("an operating point outside 0 to 1".to_string()),
                Threshold::Score(compare) => finite(compare),
            }
        }
        Atom::Like { clause, compare, .. } => {
            index("clause", *clause, data.clauses.len()).and_then(|()| finite(compare))
        }
        Atom::Length { compare, .. } | Atom::Signal { compare, .. } => finite(compare),
        Atom::ToolArgument { path, test } => {
            limit("keys of an argument", path.len(), 64)?;
            if let ArgumentTest::Text(test) = test { check_text_test(test) } else { Ok(()) }
        }
        Atom::ToolName(test) => check_text_test(test),
        Atom::Personal { .. }
        | Atom::Secret { .. }
        | Atom::Scope(_)
        | Atom::Tag(_)
        | Atom::Untrusted
        | Atom::Unverified => Ok(()),
    }
}

fn check_text_test(test: &TextTest) -> Result<(), String> {
    match test {
        TextTest::Matches(source) if source.len() > 1 << 12 || build_regex(source).is_none() => Err(format!(
            "the regular expression `{}` cannot be built",
            source.chars().take(80).collect::<String>()
        )),
        _ => Ok(()),
    }
}

fn check_pattern(kind: &PatternKind) -> Result<(), String> {
    match kind {
        PatternKind::Literal { text, .. } => {
            if text.len() < MIN_PATTERN_BYTES {
                return Err(format!("the literal `{text}` is too short"));
            }
            limit("bytes of a literal", text.len(), MAX_LITERAL_BYTES)
        }
        PatternKind::Regex { source, max_len, trigger } => {
            limit("bytes of a regular expression", source.len(), 1 << 16)?;
            limit("bytes of a match", *max_len as usize, MAX_REGEX_MATCH)?;
            let Trigger::Prefixes { texts, .. } = trigger else { return Ok(()) };
            limit("triggers of a regular expression", texts.len(), MAX_TRIGGERS)?;
            match texts.iter().find(|text| text.len() < MIN_PATTERN_BYTES || text.len() > MAX_LITERAL_BYTES) {
                Some(text) => Err(format!("a trigger of {} bytes", text.len())),
                None => Ok(()),
            }
        }
    }
}
