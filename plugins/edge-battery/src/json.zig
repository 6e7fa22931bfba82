//! Values of a JSON document as they are, and as a message shows them.

const std = @import("std");
const Value = std.json.Value;

/// A number within bounds; null for another one, for another type and for nothing.
pub fn number(value: ?Value, low: f64, high: f64) ?f64 {
    const found: f64 = switch (value orelse return null) {
        .integer => |whole| @floatFromInt(whole),
        .float => |float| float,
        // One that fits no integer.
        .number_string => |text| std.fmt.parseFloat(f64, text) catch return null,
        .null, .bool, .string, .array, .object => return null,
    };
    return if (found >= low and found <= high) found else null;
}

/// "is missing", "is 5", "is the text \"5\"": what was found, short.
pub fn show(arena: std.mem.Allocator, value: ?Value) []const u8 {
    return switch (value orelse return "is missing") {
        .null => "is null",
        .bool => |found| if (found) "is true" else "is false",
        .integer => |found| print(arena, "is {d}", .{found}),
        // Not written out: a large one has hundreds of digits.
        .float => |found| print(arena, "is {e}", .{found}),
        .number_string => "is a number of many digits",
        .string => |found| print(arena, "is the text \"{s}\"", .{short(found)}),
        .array => "is a list",
        .object => "is an object",
    };
}

fn print(arena: std.mem.Allocator, comptime format: []const u8, args: anytype) []const u8 {
    return std.fmt.allocPrint(arena, format, args) catch "is wrong";
}

/// The first bytes of a text, never half a character.
fn short(text: []const u8) []const u8 {
    if (text.len <= 40) return text;
    var end: usize = 40;
    while (end > 0 and text[end] & 0xc0 == 0x80) end -= 1;
    return text[0..end];
}
