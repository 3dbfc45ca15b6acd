//! The household's process: Modbus, readings, forecast, strategy, signer, outbox
