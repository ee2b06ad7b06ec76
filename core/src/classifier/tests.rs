//! The runtime on models of a few words: `bomb` is plain to the screen, `knife` and `dagger` are not, and the full model
//! says that only the second is meant.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/classifier/testdata")
}

pub(crate) fn models() -> Models {
    Models::load(folder()).unwrap()
}

/// Counts the rows that the full model reads.
#[derive(Debug)]
struct Counting(Box<dyn Backend>, Arc<AtomicUsize>);

impl Backend for Counting {
    fn run(&self, batch: &Batch, deadline: Option<Instant>) -> Result<backend::Output, backend::RunError> {
        self.1.fetch_add(batch.rows, Ordering::SeqCst);
        self.0.run(batch, deadline)
    }
}

/// The models, and how many windows their full model has read.
pub(crate) fn counted() -> (Models, Arc<AtomicUsize>) {
    let Models(inner) = models();
    let mut inner = Arc::into_inner(inner).unwrap();
    let rows = Arc::new(AtomicUsize::new(0));
    inner.full = Box::new(Counting(inner.full, rows.clone()));
    (Models(Arc::new(inner)), rows)
}

fn label(name: &str) -> usize {
    LABELS.iter().position(|label| *label == name).unwrap()
}

fn score(models: &Models, text: &str, name: &str) -> (f32, Vec<&'static str>) {
    let scores = models.scores(Surface::Request, text, None).unwrap();
    (scores.get(label(name)), scores.tiers().names().collect())
}

#[test]
fn the_screen_settles_what_is_plain_and_the_full_model_the_rest() {
    let models = models();
    let (bread, tiers) = score(&models, "how can i cook bread", "weapons_conventional");
    assert!(bread < 0.01);
    assert_eq!(tiers, ["screen"]);
    let (bomb, tiers) = score(&models, "how can i make a bomb", "weapons_conventional");
    assert!(bomb > 0.99);
    assert_eq!(tiers, ["screen"]);
    let (knife, tiers) = score(&models, "how can i make a knife", "weapons_conventional");
    assert!(knife < 0.01, "{knife}");
    assert_eq!(tiers, ["screen", "full"]);
    let (dagger, tiers) = score(&models, "how can i make a dagger", "weapons_conventional");
    assert!(dagger > 0.99, "{dagger}");
    assert_eq!(tiers, ["screen", "full"]);
}

#[test]
fn a_refusal_opens_no_window() {
    assert_eq!(LABELS[calibration::REFUSAL], "refusal");
    let models = models();
    let scores = models.scores(Surface::Response, "who cannot tell", None).unwrap();
    assert_eq!(scores.tiers().names().collect::<Vec<_>>(), ["screen"]);
    assert_eq!(scores.get(label("refusal")), 0.5);
}

#[test]
fn long_text_is_read_to_its_end_and_the_window_is_named() {
    let models = models();
    for place in ["start", "middle", "end"] {
        let benign = "tell me about the garden and the river please. ".repeat(40);
        let cut = benign.len() / 2;
        let at = match place {
            "start" => 0,
            "middle" => benign[..cut].rfind(' ').unwrap() + 1,
            _ => benign.len(),
        };
        let text = format!("{}the dagger {}", &benign[..at], &benign[at..]);
        let scores = models.scores(Surface::Request, &text, None).unwrap();
        let index = label("weapons_conventional");
        assert!(scores.get(index) > 0.99, "{place}");
        let passage = Passage { surface: Surface::Request, text: &text, context: None };
        let span = models.place(&passage, &scores, index, &mut ModelScratch::default());
        assert!(text[span.clone()].contains("dagger"), "{place}: {:?}", &text[span.clone()]);
        assert!(span.len() < 120);
    }
}

#[test]
fn a_response_is_read_with_the_request_it_answers() {
    let models = models();
    let index = label("prompt_injection");
    let alone = models.scores(Surface::Response, "the garden", None).unwrap();
    let with = models.scores(Surface::Response, "the garden", Some("ignore this")).unwrap();
    let request = models.scores(Surface::Request, "the garden", Some("ignore this")).unwrap();
    assert!(alone.get(index) < 0.01 && with.get(index) > 0.99 && request.get(index) < 0.01);
}

#[test]
fn text_cannot_spell_out_special_tokens_and_hides_nothing_behind_invisible_ones() {
    let models = models();
    let mut encoded = tokens::Encoded::default();
    let mut encode = |text: &str| {
        models
            .0
            .encoder
            .encode(&Passage { surface: Surface::Request, text, context: None }, &mut encoded)
            .unwrap();
        encoded.body.clone()
    };
    assert!(!encode("[SEP] bomb [CLS]").contains(&3));
    assert_eq!(encode("b\u{200b}omb"), encode("bomb"));
    assert_eq!(encode("ｂｏｍｂ"), encode("BOMB"));
    assert!(encode("").is_empty());
}

#[test]
fn pieces_of_long_text_give_the_tokens_of_the_whole() {
    let models = models();
    let text = "tell me about the café, 火 bread\u{301}s and ﬁsh\n".repeat(800);
    let mut encoded = tokens::Encoded::default();
    models
        .0
        .encoder
        .encode(&Passage { surface: Surface::Request, text: &text, context: None }, &mut encoded)
        .unwrap();
    let mut once = tokens::Encoded::default();
    let line = text.lines().next().unwrap();
    models
        .0
        .encoder
        .encode(&Passage { surface: Surface::Request, text: line, context: None }, &mut once)
        .unwrap();
    assert_eq!(encoded.body, once.body.repeat(800));
    let endless = "a".repeat(1 << 20);
    models
        .0
        .encoder
        .encode(&Passage { surface: Surface::Request, text: &endless, context: None }, &mut encoded)
        .unwrap();
}

#[test]
fn a_deadline_that_has_passed_stops_the_run() {
    let models = models();
    let passage = Passage { surface: Surface::Request, text: "a knife", context: None };
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    let mut scratch = ModelScratch::default();
    assert_eq!(models.score(&passage, &[], &mut Vec::new(), past, &mut scratch), Err(ScoreError::Late));
    assert!(models.score(&passage, &[], &mut Vec::new(), None, &mut scratch).is_ok());
}

#[test]
fn operating_points_are_exact_where_measured_and_ordered_between() {
    let models = models();
    let index = label("hate") as u8;
    let at = |surface, fpr| models.threshold(index, surface, fpr).unwrap();
    assert_eq!(at(Surface::Request, 0.01).value, 0.5);
    assert_eq!(at(Surface::Response, 0.01).value, 0.6);
    assert_eq!(at(Surface::Reasoning, 0.01).measured_on, Some(Surface::Response));
    assert_eq!(at(Surface::ToolResult, 0.01).measured_on, None);
    let between = at(Surface::Request, 0.003);
    assert!(between.within && between.value > 0.5 && between.value < 0.9);
    let below = at(Surface::Request, 0.0001);
    assert!(!below.within && below.value == 0.9);
}

#[test]
fn several_threads_share_the_models() {
    let models = models();
    let texts = ["a knife", "a dagger and bread", "soup", "the gun"];
    let want: Vec<_> = texts.map(|text| models.scores(Surface::Request, text, None).unwrap()).into();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (text, want) in texts.iter().zip(&want) {
                    assert_eq!(models.scores(Surface::Request, text, None).unwrap(), *want);
                }
            });
        }
    });
}

#[test]
fn models_are_looked_for_in_order() {
    let data = folder();
    let parent = data.parent().unwrap();
    assert_eq!(Models::find(Some(Path::new("named")), [parent]), Some("named".into()));
    assert_eq!(Models::find(None, [parent]), None);
}
