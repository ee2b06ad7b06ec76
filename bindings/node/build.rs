//! Lets the addon take Node's symbols from the process that loads it.

fn main() {
    napi_build::setup();
}
