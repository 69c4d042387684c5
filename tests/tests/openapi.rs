//! The operators' API as programs of others see it: its document is valid OpenAPI, and everything
//! it answers, to good requests and bad ones, is what the document says.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::Platform;
use kakehashi_tests::python::script;

#[test]
fn the_api_keeps_to_its_document() {
    let platform = Platform::start(1);
    let _accounts = platform.add_pair();
    let control = platform.data().join("control");
    let url = std::fs::read_to_string(control.join("api.url")).unwrap();
    let output = script("openapi.py")
        .arg(url.trim_end())
        .arg(platform.data().join("ca.pem"))
        .arg(control.join("operator.token"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "what the document does not say was answered");
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).unwrap();
    assert!(said.contains(&format!("{tested} operations to test")), "not all were tested");
}
