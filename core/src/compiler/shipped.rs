//! The policies that ship with the crate.

macro_rules! policies {
    ($($name:literal),+ $(,)?) => {
        /// The names of the shipped policies.
        pub const SHIPPED: &[&str] = &[$($name),+];

        /// The text of a shipped policy.
        pub fn shipped(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../../policies/", $name, "/policy.md"))),)+
                _ => None,
            }
        }
    };
}

policies!("default", "constitution", "model-spec", "medical", "tutor");
