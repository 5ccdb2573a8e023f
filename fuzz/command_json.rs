//! Commands as another process writes them: what is read is written again as it was, and nothing panics.

use swio::Command;

pub(crate) fn command_json(bytes: &[u8]) {
    let Ok(command) = serde_json::from_slice::<Command>(bytes) else { return };
    let Ok(written) = serde_json::to_vec(&command) else { return };
    let again: Command = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(again, command);
}
