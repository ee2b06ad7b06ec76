//! "Did you mean" for names.

/// The longest name that is compared, in bytes.
const MAX_NAME: usize = 128;
/// How many names one is compared with: a document with thousands of wrong names costs no more than it is long.
const MAX_COMPARED: usize = 256;

/// The most similar of the known names, if one is similar enough.
pub(crate) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let budget = (name.chars().count() / 3).clamp(1, 3);
    known
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * budget)
        .take(MAX_COMPARED)
        .map(|candidate| (distance(name, candidate, budget), candidate))
        .filter(|(distance, _)| *distance <= budget)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A help line: the closest name, or what there is to choose from.
pub(crate) fn help<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, what: &str) -> String {
    if let Some(candidate) = closest(name, known.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let mut names: Vec<&str> = known.take(40).collect();
    if names.is_empty() {
        return format!("there are no {what} here");
    }
    names.sort_unstable();
    names.dedup();
    format!("{what}: {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

/// Edit distance, cut off once it exceeds `budget`.
fn distance(a: &str, b: &str, budget: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > budget {
        return budget + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (right, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(left != right);
            diagonal = *cell;
            *cell = substituted.min(*cell + 1).min(previous + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        if row.iter().all(|cell| *cell > budget) {
            return budget + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_near_names_only() {
        let known = ["avoid_abuse", "be_warm", "be_clear"];
        assert_eq!(closest("be_warn", known.into_iter()), Some("be_warm"));
        assert_eq!(closest("avoid_abuze", known.into_iter()), Some("avoid_abuse"));
        assert_eq!(closest("something_else", known.into_iter()), None);
        assert_eq!(distance("kitten", "sitting", 5), 3);
    }
}
