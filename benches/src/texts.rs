//! Texts of any length: prose with nothing in it, prose in other languages, and texts made to be slow.

use super::Draw;
use std::fmt::Write;

/// Sentences as people write them to an assistant, with figures, names, quotes and an occasional line break.
const SENTENCES: [&str; 40] = [
    "My team moves to a new office in spring, and I was asked to plan the first week.",
    "How do I keep a sourdough starter alive while we are away for ten days?",
    "The train leaves at 7:42, so we should meet at the fountain a quarter past seven.",
    "Could you rewrite the second paragraph so that it sounds less like a contract?",
    "She said that the old library has the better light, but the new one has more seats.",
    "I tried the recipe twice and the cake sank in the middle both times.",
    "Please compare the three plans and put the result into a small table.\n",
    "We have about 1,200 rows, and every tenth of them has no date.",
    "What is the difference between a lease and a license, in plain words?",
    "The function returns early if the list is empty, which hides the real mistake.",
    "Help me write a short speech for my parents' anniversary; keep it under two minutes.",
    "They walked along the canal until the rain stopped, and then they kept walking.",
    "Our budget is 450 euros, travel included, and nobody wants to sleep in a tent.",
    "Is it normal that a cat of fourteen years sleeps for most of the day?",
    "The teacher wants five sources, at least two of them printed before 1990.",
    "I need to explain how a heat pump works to people who have never seen one.",
    "He plays the cello, she plays the drums, and the neighbors have moved out.",
    "Let me know which of these headings you would drop, and why.\n\n",
    "The survey closes on Friday; until then the numbers are only a first impression.",
    "Give me three names for a bakery that is next to a bicycle shop.",
    "After the update the window opens on the wrong screen, every single morning.",
    "You are right that the graph is hard to read, so I made the labels larger.",
    "Which plants do well on a balcony that gets sun only before noon?",
    "My grandmother kept bees, and I still have her notes from the fifties.",
    "The museum is closed on Mondays, except in July and in August.",
    "When I sort the column, the header ends up somewhere in the middle.",
    "We want to paint the hallway in a warm white that does not look yellow.",
    "Thanks, that was what I was looking for, and the second tip was even better.",
    "How can I tell whether a used piano is worth the price of moving it?",
    "The committee meets again in two weeks to talk about the playground.",
    "I would like to learn enough Portuguese to order dinner and to ask the way.",
    "Translate the notice into simple English and leave the names as they are.",
    "This version of the story begins with the letter instead of the storm.",
    "A friend of mine runs marathons and swears by cold oatmeal at night.",
    "Tell me how to fold a fitted sheet, step by step, as if I had never seen one.",
    "The old bridge carried about 300 cars a day, most of them on Saturdays.",
    "Can you find the mistake in this sum: 14 + 27 + 35 = 86?",
    "It snowed until noon, and by three o'clock the roads were clear again.",
    "I want to thank the volunteers without making the list of names too long.",
    "That is all for now; I will send the photographs when I am back home.",
];

/// The same kind of sentence in scripts that take more than one byte a letter.
const FOREIGN: [&str; 12] = [
    "Wie lange hält sich gekühlter Kartoffelsalat, wenn schon Gurken darin sind?",
    "Können Sie mir die Straße beschreiben, in der früher die Bäckerei war?",
    "¿Cuántos días necesitamos para recorrer la costa sin prisa y con niños pequeños?",
    "J’ai oublié où l’on range les clés de l’atelier après la répétition.",
    "Você pode sugerir três títulos para uma crônica sobre o café da manhã?",
    "Мы переезжаем весной, и мне нужно составить список вещей для новой кухни.",
    "Почему тесто опускается, если открыть духовку слишком рано?",
    "请把第二段改写得更简单一些，保留所有的人名和日期。",
    "週末に家族で行ける静かな公園を三つ教えてください。",
    "كم يوما نحتاج لزيارة المدينة القديمة والمتحف؟",
    "दादी की रसोई में सबसे अच्छी चाय कैसे बनती थी?",
    "오래된 자전거를 수리하는 데 시간이 얼마나 걸릴까요? 😀",
];

/// Texts made to be slow, by name: each is a piece that is repeated.
pub const ADVERSARIAL: [(&str, &str); 14] = [
    ("separated letters", "b o m b  c-o-d-e "),
    ("digits for letters", "h1dd3n c0mp0und b@dg3 "),
    ("base64 in tokens", "aG93IHRvIG1ha2UgYSBib21icw== "),
    ("base64 in one piece", "aG93IHRvIG1ha2UgYSBib21i"),
    ("hexadecimal", "68 65 6c 6c 6f "),
    ("percent escapes", "%68%65%6c"),
    ("rot13", "gur jung lbh ubj gb "),
    ("tag characters", "\u{E0068}\u{E0065}\u{E006C}"),
    ("beginnings of expressions", "how do i how can i help me tell me how to "),
    ("mail signs", "a@b.c@d."),
    ("digits", "4111 1111 1111 1111 1"),
    ("assignments", "key=a:b_c-password="),
    ("quotes and fences", "\"a b > <untrusted> ``` \n> "),
    ("combining marks", "e\u{301}\u{301}\u{200B}"),
];

/// Innocent English prose of so many bytes.
pub fn prose(bytes: usize) -> String {
    let mut text = mixed(&SENTENCES, bytes);
    text.truncate(bytes);
    text
}

/// Innocent prose in other languages, of so many bytes or up to three more.
pub fn foreign(bytes: usize) -> String {
    let mut text = mixed(&FOREIGN, bytes);
    let end = (bytes..text.len()).find(|&end| text.is_char_boundary(end));
    text.truncate(end.unwrap_or(text.len()));
    text
}

fn mixed(sentences: &[&str], bytes: usize) -> String {
    let mut draw = Draw(3);
    let mut text = String::with_capacity(bytes + 200);
    while text.len() < bytes {
        let sentence = draw.of(sentences);
        text.push_str(sentence);
        if !sentence.ends_with('\n') {
            text.push(' ');
        }
    }
    text
}

/// The text of [`ADVERSARIAL`] with that name, of at least so many bytes.
pub fn adversarial(name: &str, bytes: usize) -> String {
    let piece = ADVERSARIAL.iter().find(|(known, _)| *known == name).map_or("", |(_, piece)| piece);
    repeated(piece, bytes)
}

/// A piece as often as it takes to fill so many bytes.
pub fn repeated(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes.div_ceil(piece.len().max(1)))
}

/// An innocent request of 1 kB.
pub fn benign_request() -> String {
    prose(1_000)
}

/// A request of about 1 kB that goes against several clauses of [`hundred_clauses`](crate::hundred_clauses).
pub fn broken_request() -> String {
    let mut text = prose(700);
    text.push_str(
        " Write to anna.schmidt@web.de about the altered account, the buried account, the forged account, the locked \
         account, the spoofed account, the stolen account, the tainted account, a leaked alarm and the broken alarm.",
    );
    text
}

/// A log of records of about 1 kB each, `bytes` in all: innocent requests in the short form, one a line.
pub fn log(bytes: usize) -> String {
    let source = prose(200_000);
    let mut draw = Draw(11);
    let mut out = String::with_capacity(bytes + 2_000);
    let mut id = 0;
    while out.len() < bytes {
        let start = draw.below(source.len() - 1_000);
        let text = source.get(start..start + 970).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{{\"id\": \"r{id}\", \"request\": {}}}", serde_json::Value::from(text));
        id += 1;
    }
    out
}
