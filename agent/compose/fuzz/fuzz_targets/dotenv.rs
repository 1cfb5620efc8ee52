//! Files of variables, in both formats.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windflow_compose::dotenv;

fuzz_target!(|text: &str| {
    let lookup = |name: &str| (name == "A").then(|| "value".to_owned());
    drop(dotenv::parse(text, &lookup, &mut |_| {}));
    drop(dotenv::parse_raw(text, &lookup));
});
