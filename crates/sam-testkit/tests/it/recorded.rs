//! The dialects of i2pd give the answers of the routers that were recorded.

use sam_testkit::{Dialect, TestBridge};

use crate::client::{Client, shape};

const RECORDING: &str = include_str!("../recordings/i2pd.txt");

#[tokio::test]
async fn each_version_of_i2pd_answers_as_recorded() {
    for (version, dialect) in
        [("2.45.1", Dialect::I2pd245), ("2.56.0", Dialect::I2pd256), ("2.59.0", Dialect::I2pd259)]
    {
        let mut checked = 0;
        for record in RECORDING.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let [versions, line, answer] = record.split(" | ").collect::<Vec<_>>()[..] else {
                panic!("{record}")
            };
            if !versions.split(' ').any(|recorded| recorded == version) {
                continue;
            }
            // A new bridge, so that no session is left over.
            let bridge = TestBridge::start_as(dialect).await;
            let mut client = match line.starts_with("HELLO") {
                true => Client::connect(&bridge).await,
                false => Client::hello(&bridge).await,
            };
            assert_eq!(shape(&client.ask(line).await), answer, "{version}: {line}");
            checked += 1;
        }
        assert!(checked > 30, "{version}: {checked} lines");
    }
}
