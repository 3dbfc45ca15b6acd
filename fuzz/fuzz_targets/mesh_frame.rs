//! Any bytes are the body of a block request or response in its one spelling, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh::{decode_request, decode_response, encode_request, encode_response};

fuzz_target!(|body: &[u8]| {
    if let Ok(request) = decode_request(body) {
        assert_eq!(encode_request(&request), body);
    }
    if let Ok(response) = decode_response(body) {
        assert_eq!(encode_response(&response).expect("it was read from as many bytes"), body);
    }
});
