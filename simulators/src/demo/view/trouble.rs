//! What is said about a process that has ended though nobody asked it to.

use crate::demo::supervisor::ProcessHealth;

/// What has become of a process, and why; `None` if it runs well.
pub(in crate::demo) fn words(health: &ProcessHealth) -> Option<String> {
    let ProcessHealth { name, last_exit, last_words, restarts, log, .. } = health;
    if health.ends == 0 || health.stable {
        return None;
    }
    let exit = last_exit.as_deref().unwrap_or("unknown");
    let log = log.display();
    let why = match last_words {
        Some(words) => format!(": {words}"),
        None => String::new(),
    };
    Some(if health.given_up {
        format!(
            "{name} cannot run{why}; it is not started again: mend this and start the demo again, \
             or start afresh with another --data-dir (log: {log})"
        )
    } else if health.pid.is_some() {
        format!("{name} ended ({exit}){why}; it was started again, {restarts} times so far")
    } else {
        let next = restarts.saturating_add(1);
        format!("{name} ended ({exit}){why}; it will be started again, restart {next} (log: {log})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::supervisor::Role;

    fn healthy() -> ProcessHealth {
        ProcessHealth {
            name: "house-03".to_owned(),
            role: Role::Agent,
            pid: Some(7),
            restarts: 0,
            ends: 0,
            last_exit: None,
            last_words: None,
            given_up: false,
            stable: false,
            log: "/data/house-03/log".into(),
        }
    }

    #[test]
    fn a_process_in_trouble_is_named_with_its_last_words_and_what_comes_next() {
        assert_eq!(words(&healthy()), None);
        let ended = ProcessHealth {
            pid: None,
            ends: 3,
            restarts: 2,
            last_exit: Some("exit status: 1".to_owned()),
            last_words: Some("the log is cut".to_owned()),
            ..healthy()
        };
        let told = words(&ended).expect("trouble");
        for part in ["house-03", "exit status: 1", "the log is cut", "restart 3", "house-03/log"] {
            assert!(told.contains(part), "{told}");
        }
        let again = ProcessHealth { pid: Some(8), restarts: 3, ..ended.clone() };
        assert!(words(&again).is_some_and(|told| told.contains("3 times so far")));
        assert_eq!(words(&ProcessHealth { stable: true, ..again }), None);
        let given_up = ProcessHealth { given_up: true, ..ended };
        let told = words(&given_up).expect("trouble");
        assert!(told.contains("cannot run: the log is cut; it is not started again"), "{told}");
    }
}
