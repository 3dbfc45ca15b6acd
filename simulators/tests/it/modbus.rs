//! The meter read over a real TCP connection with a Modbus client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use market::time::Clock;
use simulators::SimulatorError;
use simulators::simulated_meter::{SimulatedMeterConfig, run_meter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_modbus::client::{Context, Reader, Writer, tcp};
use tokio_modbus::{ExceptionCode, Slave};
use tokio_util::sync::CancellationToken;

use crate::stage::{HandClock, SUMMER_MORNING, serve_solar_house};

pub(crate) async fn connect(address: SocketAddr) -> Context {
    tcp::connect_slave(address, Slave(1)).await.expect("a connection")
}

pub(crate) async fn read_float(client: &mut Context, address: u16) -> f32 {
    let words =
        client.read_input_registers(address, 2).await.expect("an answer").expect("no exception");
    f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]))
}

#[tokio::test]
async fn what_is_read_is_what_the_meter_counted() {
    let served = serve_solar_house().await;
    let mut client = connect(served.server.address()).await;
    let (mut last_import, mut last_export) = (0.0, 0.0);
    for _ in 0..24 {
        served.clock.forward_ms(1_800_000);
        let (power, import, export) = (
            read_float(&mut client, 0x34).await,
            read_float(&mut client, 0x48).await,
            read_float(&mut client, 0x4A).await,
        );
        let readout = served.meter.readout(served.clock.now()).expect("a readout");
        assert!((f64::from(power) - readout.power_mw as f64 / 1_000.0).abs() < 0.01);
        assert_eq!((f64::from(import) * 1_000.0).round(), readout.import_wh() as f64);
        assert_eq!((f64::from(export) * 1_000.0).round(), readout.export_wh() as f64);
        assert!(import >= last_import && export >= last_export);
        (last_import, last_export) = (import, export);

        let frequency = read_float(&mut client, 0x46).await;
        assert!((49.8..50.2).contains(&frequency), "{frequency} Hz");
        let mut phases = 0.0;
        for phase in 0..3 {
            let voltage = read_float(&mut client, 2 * phase).await;
            assert!((210.0..250.0).contains(&voltage), "{voltage} V");
            let current = read_float(&mut client, 6 + 2 * phase).await;
            let phase_power = read_float(&mut client, 12 + 2 * phase).await;
            assert!((current * voltage) >= phase_power.abs() * 0.99);
            phases += phase_power;
        }
        assert!((phases - power).abs() < 0.1);
    }
    let truth = served.meter.truth(served.clock.now()).expect("the truth");
    assert!(truth.totals.solar_uj > 0 && truth.totals.load_uj > 0);
}

#[tokio::test]
async fn serial_number_blocks_and_exceptions_are_the_device_s() {
    let served = serve_solar_house().await;
    let mut client = connect(served.server.address()).await;
    let serial = client.read_holding_registers(0xFC00, 2).await.expect("an answer");
    let serial = serial.expect("no exception");
    let expected = served.plan.meter_serial;
    assert_eq!(u32::from(serial[0]) << 16 | u32::from(serial[1]), expected);

    let block = client.read_input_registers(0, 0x50).await.expect("an answer");
    assert_eq!(block.expect("no exception").len(), 0x50);

    let unmapped = ExceptionCode::IllegalDataAddress;
    assert_eq!(client.read_input_registers(0x50, 2).await.expect("an answer"), Err(unmapped));
    assert_eq!(client.read_holding_registers(0, 2).await.expect("an answer"), Err(unmapped));
    for count in [0, 126, 2_000] {
        let answer = client.read_input_registers(0, count).await.expect("an answer");
        assert_eq!(answer, Err(ExceptionCode::IllegalDataValue), "{count} words");
    }
    let written = client.write_single_register(0, 1).await.expect("an answer");
    assert_eq!(written, Err(ExceptionCode::IllegalFunction));
    // The connection has survived all of it.
    assert!(read_float(&mut client, 0x46).await > 49.0);

    let mut stranger =
        tcp::connect_slave(served.server.address(), Slave(7)).await.expect("a connection");
    let answer = stranger.read_input_registers(0x34, 2).await.expect("an answer");
    assert_eq!(answer, Err(ExceptionCode::GatewayTargetDevice));
}

#[tokio::test]
async fn the_household_lives_on_when_nobody_reads() {
    let served = serve_solar_house().await;
    served.clock.forward_ms(3_600_000);
    let caught_up = async {
        while served.meter.stands_at() < served.clock.now() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), caught_up).await.expect("the background tick works");
}

#[tokio::test]
async fn garbage_on_a_connection_ends_that_connection_only() {
    let served = serve_solar_house().await;
    let mut vandal = TcpStream::connect(served.server.address()).await.expect("a connection");
    // Twelve bytes, whose protocol id is not Modbus's.
    vandal.write_all(&[1, 2, 0xFF, 0xFF, 0, 6, 1, 4, 0, 0x48, 0, 2]).await.expect("sent");
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(10), vandal.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the device closes the connection");
    let mut client = connect(served.server.address()).await;
    assert!(read_float(&mut client, 0x46).await > 49.0);
}

#[tokio::test]
async fn it_ends_when_told_to_and_frees_its_port() {
    let served = serve_solar_house().await;
    let address = served.server.address();
    let mut client = connect(address).await;
    assert!(read_float(&mut client, 0x46).await > 49.0);
    served.shutdown.cancel();
    timeout(Duration::from_secs(10), served.server.ended())
        .await
        .expect("it ends at once")
        .expect("it ends well");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_meter_started_again_goes_on_counting() {
    let clock = HandClock::at(SUMMER_MORNING.plus_millis(2 * 86_400_000));
    let config =
        SimulatedMeterConfig { since: Some(SUMMER_MORNING), ..SimulatedMeterConfig::default() };
    let mut readings = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let running =
            tokio::spawn(run_meter(config.clone(), listener, clock.clone(), shutdown.clone()));
        let mut client = connect(address).await;
        readings.push(read_float(&mut client, 0x48).await);
        shutdown.cancel();
        running.await.expect("no panic").expect("it ends well");
    }
    assert_eq!(readings[0].to_bits(), readings[1].to_bits());
}

#[tokio::test]
async fn an_impossible_configuration_is_refused() {
    let refused = |config| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let clock: Arc<dyn Clock> = HandClock::at(SUMMER_MORNING);
        run_meter(config, listener, clock, CancellationToken::new()).await.expect_err("refused")
    };
    let config = SimulatedMeterConfig::default;
    assert!(matches!(
        refused(SimulatedMeterConfig { household: 12, ..config() }).await,
        SimulatorError::NoSuchHousehold { household: 12, households: 12 }
    ));
    assert!(matches!(
        refused(SimulatedMeterConfig { time_zone: "Mars".to_owned(), ..config() }).await,
        SimulatorError::UnknownTimeZone { .. }
    ));
    let long_ago = Some(SUMMER_MORNING.plus_millis(-500 * 86_400_000));
    assert!(matches!(
        refused(SimulatedMeterConfig { since: long_ago, ..config() }).await,
        SimulatorError::LeapTooLong { .. }
    ));
}
