//! Variables in texts. Whatever comes out of a text without a dollar sign is the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windflow_compose::interpolate::interpolate;

fuzz_target!(|text: &str| {
    let lookup = |name: &str| match name {
        "A" => Some("value".to_owned()),
        "E" => Some(String::new()),
        "D" => Some("$A${A}".to_owned()),
        _ => None,
    };
    let result = interpolate(text, &lookup, &mut |_| {});
    if !text.contains('$') {
        assert_eq!(result.as_deref(), Ok(text));
    }
});
