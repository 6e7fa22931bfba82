//! The settings of edge-battery, checked once.

const std = @import("std");

pub const Settings = struct {
    /// Below this share of charge, in percent, a device on battery is left out.
    battery_min: u8 = 50,
    /// Below this one, a device that charges is asked again later.
    charging_min: u8 = 20,
    /// From this signal on, in dBm, the first phase of a ring; from the other on the second.
    strong_dbm: i16 = -67,
    weak_dbm: i16 = -85,
    /// Label with the number of the ring.
    ring_label: []const u8 = "ring",

    const Typed = struct {
        batteryMin: u8 = 50,
        chargingMin: u8 = 20,
        strongDbm: i16 = -67,
        weakDbm: i16 = -85,
        ringLabel: []const u8 = "ring",
    };

    const Refused = error{ Malformed, Percent, Signal, Label };

    pub fn read(lasting: std.mem.Allocator, text: []const u8) Refused!Settings {
        const typed = std.json.parseFromSliceLeaky(Typed, lasting, text, .{ .allocate = .alloc_always }) catch
            return error.Malformed;
        if (typed.batteryMin > 100 or typed.chargingMin > 100) return error.Percent;
        if (typed.strongDbm > 0 or typed.weakDbm < -150 or typed.weakDbm > typed.strongDbm) return error.Signal;
        if (typed.ringLabel.len == 0 or typed.ringLabel.len > 128) return error.Label;
        return .{
            .battery_min = typed.batteryMin,
            .charging_min = typed.chargingMin,
            .strong_dbm = typed.strongDbm,
            .weak_dbm = typed.weakDbm,
            .ring_label = typed.ringLabel,
        };
    }

    pub fn describe(why: Refused) []const u8 {
        return switch (why) {
            error.Malformed => "settings can be batteryMin and chargingMin (whole percent), strongDbm and weakDbm " ++
                "(whole dBm) and ringLabel (text); something else was given",
            error.Percent => "batteryMin and chargingMin are percent, 0 to 100",
            error.Signal => "weakDbm must not be above strongDbm, and both lie between -150 and 0",
            error.Label => "ringLabel must be the name of a label, 1 to 128 bytes",
        };
    }
};
