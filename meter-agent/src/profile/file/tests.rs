use super::*;

const SDM630: &str = include_str!("../../../profiles/eastron-sdm630.toml");

fn refused(text: &str) -> TomlError {
    Profile::from_toml(text, Path::new("meter.toml")).expect_err("it must not be taken")
}

#[test]
fn every_built_in_profile_is_sound() {
    for name in Profile::names() {
        let profile = Profile::built_in(name).unwrap();
        assert!(profile.is_ok(), "{name}: {profile:?}");
    }
    assert!(Profile::built_in("abacus").is_none());
}

#[test]
fn a_mistake_is_named_with_file_line_and_key() {
    let line_of =
        |needle: &str| SDM630.lines().position(|line| line.starts_with(needle)).unwrap() + 1;
    let cases = [
        ("timeout_ms = 1500", "timeout_ms = \"fast\"", "connection.timeout_ms", "invalid type"),
        ("timeout_ms = 1500", "timeout_ms = 0", "connection.timeout_ms", "at least 1 ms"),
        ("timeout_ms = 1500", "timeout_ms = 90000", "connection.timeout_ms", "0 to 60000"),
        ("min_gap_ms = 50", "gap = 50", "connection.gap", "unknown field"),
        ("count = 24", "count = 126", "request[1].count", "1 to 125"),
        ("count = 24", "count = 6", "request[1].count", "late answer"),
        ("unit = \"kWh\"", "unit = \"kW\"", "import.unit", "\"Wh\" or \"kWh\""),
        ("unit = \"W\"", "unit = \"Wh\"", "power.unit", "\"W\" or \"kW\""),
        ("positive = \"import\"", "", "power.positive", "found neither"),
    ];
    for (right, wrong, key, problem) in cases {
        let error = refused(&SDM630.replacen(right, wrong, 1));
        assert_eq!(error.key, key, "{error}");
        assert!(error.problem.contains(problem), "{error}");
        assert!(error.to_string().starts_with("meter.toml, line "), "{error}");
    }
    assert_eq!(refused(&SDM630.replace("timeout_ms = 1500", "timeout_ms = 0")).line, {
        line_of("timeout_ms")
    });
}

#[test]
fn a_number_outside_the_requests_or_with_a_wrong_code_is_refused() {
    let error = refused(&SDM630.replace("count = 24", "count = 20"));
    assert_eq!(error.key, "import.address");
    let error = refused(&SDM630.replacen("scale = 1", "scale = -1", 1));
    assert_eq!(error.key, "import.scale");
    let coded = "unit = \"kWh\"\nnot_available = [\"FFFF\"]";
    let error = refused(&SDM630.replacen("unit = \"kWh\"", coded, 1));
    assert_eq!(error.key, "import.not_available");
}

#[test]
fn a_file_without_counters_or_with_two_descriptions_is_refused() {
    let head = "name = \"x\"\n[connection]\nport = 502\nconnect_delay_ms = 0\nmin_gap_ms = 50\n\
                timeout_ms = 1500\n";
    assert!(refused(head).problem.contains("[import], [export] or [sunspec]"));
    let sunspec = "[sunspec]\npositive = \"import\"\n";
    let error = refused(&format!("{head}{sunspec}models = [203, 103]\n"));
    assert_eq!((error.key.as_str(), error.line), ("sunspec.models", 9), "{error}");
    assert!(refused(&format!("{head}{sunspec}models = [7]\n")).problem.contains("201-204"));
    let error = refused(&SDM630.replace("[import]", &format!("{sunspec}models = [203]\n[import]")));
    assert_eq!(error.key, "sunspec");
}

#[test]
fn a_scale_factor_stands_in_the_same_request_as_its_number() {
    let factored = |address: u16| {
        let factor = format!("type = \"f32\"\nfactor_address = {address}");
        SDM630.replacen("type = \"f32\"", &factor, 1)
    };
    assert!(Profile::from_toml(&factored(60), Path::new("meter.toml")).is_ok());
    let error = refused(&factored(2));
    assert_eq!(error.key, "import.factor_address", "{error}");
}
