//! wit/policy.wit in Zig: types, and the functions that the host calls.
//!
//! The layouts are those of the canonical ABI. A new version of this file comes with a new major
//! version of the contract; until then it needs no change.

const std = @import("std");
const Allocator = std.mem.Allocator;

pub const Health = enum(u8) { healthy, unhealthy, unknown };
pub const Participation = enum(u8) { proceed, skip, @"defer" };
pub const Level = enum(u8) { debug, info, warn, err };

pub const Pair = struct { name: []const u8, value: []const u8 };

/// One member of a scale set.
pub const Instance = struct {
    id: []const u8,
    scale_set: []const u8,
    region: ?[]const u8,
    zone: ?[]const u8,
    fault_domain: ?u32,
    update_domain: ?u32,
    version: ?[]const u8,
    desired_version: ?[]const u8,
    /// Sorted by name.
    labels: []const Pair,

    pub fn label(self: *const Instance, name: []const u8) ?[]const u8 {
        return find(self.labels, name);
    }
};

pub const Response = struct {
    status: u16,
    headers: []const Pair,
    body: []const u8,

    pub fn header(self: *const Response, name: []const u8) ?[]const u8 {
        return find(self.headers, name);
    }
};

/// Why a probe brought no response.
pub const ProbeFailure = union(enum) {
    timeout,
    unreached: []const u8,
    tls: []const u8,
    invalid_response: []const u8,
    body_too_large: u64,
};

pub const Answer = struct {
    source: []const u8,
    outcome: union(enum) { response: Response, failure: ProbeFailure },
};

/// Everything that a decision may depend on.
pub const Observation = struct {
    instance: Instance,
    answers: []const Answer,
    memory: ?[]const u8,
    attributes: []const Pair,

    pub fn answer(self: *const Observation, source: []const u8) ?*const Answer {
        for (self.answers) |*each| {
            if (std.mem.eql(u8, each.source, source)) return each;
        }
        return null;
    }
};

pub const Reason = struct { code: []const u8, detail: []const u8 };

pub const Decision = struct {
    health: Health,
    phase: ?u32 = null,
    participation: Participation = .proceed,
    reason: ?Reason = null,
    /// Handed back with the next observation of this instance; nothing else survives.
    memory: ?[]const u8 = null,
    attributes: []const Pair = &.{},
};

/// One observation could not be judged.
pub const Failure = union(enum) { unreadable: []const u8, unsupported: []const u8, internal: []const u8 };

pub const Judgement = union(enum) { decision: Decision, failure: Failure };

/// Writes one line to the host's log.
pub fn log(level: Level, line: []const u8) void {
    write(@intFromEnum(level), line.ptr, line.len);
}

extern "phasegate:policy/log@1.0.0" fn write(level: u32, at: [*]const u8, len: usize) void;

/// Makes a file the policy: it needs `configure` and `decide`.
pub fn use(comptime Policy: type) void {
    const Exported = struct {
        fn configure(at: [*]const u8, len: usize) callconv(.c) *RawConfigured {
            const result = one(RawConfigured);
            const said: ?[]const u8 = Policy.configure(lasting, at[0..len]);
            result.* = .{ .tag = @intFromBool(said != null), .said = RawText.of(said orelse "") };
            return result;
        }
        fn evaluate(at: [*]const RawObservation, len: usize) callconv(.c) *RawList(RawJudgement) {
            const results = many(RawJudgement, len);
            for (results, 0..) |*result, i| {
                const seen = at[i].lift();
                result.* = RawJudgement.of(Policy.decide(arena.allocator(), &seen));
            }
            const area = one(RawList(RawJudgement));
            area.* = .{ .ptr = results.ptr, .len = len };
            return area;
        }
    };
    const name = "phasegate:policy/evaluator@1.0.0#";
    @export(&Exported.configure, .{ .name = name ++ "configure" });
    @export(&Exported.evaluate, .{ .name = name ++ "evaluate" });
    @export(&release, .{ .name = "cabi_post_" ++ name ++ "configure" });
    @export(&release, .{ .name = "cabi_post_" ++ name ++ "evaluate" });
    @export(&realloc, .{ .name = "cabi_realloc" });
}

/// What lives as long as the instance: for what `configure` keeps.
const lasting = std.heap.wasm_allocator;
/// What lives as long as one call.
var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);

fn release(_: *anyopaque) callconv(.c) void {
    _ = arena.reset(.retain_capacity);
}

fn realloc(old: [*]const u8, old_len: usize, alignment: usize, len: usize) callconv(.c) [*]u8 {
    _ = alignment;
    // Eight is the largest alignment of the contract.
    const block = arena.allocator().alignedAlloc(u8, .@"8", @max(len, 1)) catch unreachable;
    if (old_len > 0) @memcpy(block[0..old_len], old[0..old_len]);
    return block.ptr;
}

fn one(comptime T: type) *T {
    return &many(T, 1)[0];
}

fn many(comptime T: type, len: usize) []T {
    // Never none: the slice of nothing may point outside of the memory, which the host refuses.
    const block = arena.allocator().alloc(T, @max(len, 1)) catch unreachable;
    return block[0..len];
}

fn find(pairs: []const Pair, name: []const u8) ?[]const u8 {
    for (pairs) |pair| {
        if (std.mem.eql(u8, pair.name, name)) return pair.value;
    }
    return null;
}

fn RawList(comptime T: type) type {
    return extern struct { ptr: [*]const T, len: usize };
}

const RawText = extern struct {
    ptr: [*]const u8,
    len: usize,

    fn of(text: []const u8) RawText {
        // The slice of nothing may point anywhere; the host looks at the address all the same.
        return .{ .ptr = if (text.len == 0) "" else text.ptr, .len = text.len };
    }
    fn lift(self: RawText) []const u8 {
        return if (self.len == 0) "" else self.ptr[0..self.len];
    }
};

const RawOptionalText = extern struct {
    tag: u8,
    value: RawText,

    fn lift(self: RawOptionalText) ?[]const u8 {
        return if (self.tag == 0) null else self.value.lift();
    }
    fn of(text: ?[]const u8) RawOptionalText {
        return .{ .tag = @intFromBool(text != null), .value = RawText.of(text orelse "") };
    }
};

const RawOptionalNumber = extern struct {
    tag: u8,
    value: u32,

    fn lift(self: RawOptionalNumber) ?u32 {
        return if (self.tag == 0) null else self.value;
    }
};

const RawPair = extern struct { name: RawText, value: RawText };

fn liftPairs(list: RawList(RawPair)) []const Pair {
    const pairs = many(Pair, list.len);
    for (pairs, 0..) |*pair, i| {
        pair.* = .{ .name = list.ptr[i].name.lift(), .value = list.ptr[i].value.lift() };
    }
    return pairs;
}

const RawInstance = extern struct {
    id: RawText,
    scale_set: RawText,
    region: RawOptionalText,
    zone: RawOptionalText,
    fault_domain: RawOptionalNumber,
    update_domain: RawOptionalNumber,
    version: RawOptionalText,
    desired_version: RawOptionalText,
    labels: RawList(RawPair),

    fn lift(self: *const RawInstance) Instance {
        return .{
            .id = self.id.lift(),
            .scale_set = self.scale_set.lift(),
            .region = self.region.lift(),
            .zone = self.zone.lift(),
            .fault_domain = self.fault_domain.lift(),
            .update_domain = self.update_domain.lift(),
            .version = self.version.lift(),
            .desired_version = self.desired_version.lift(),
            .labels = liftPairs(self.labels),
        };
    }
};

const RawResponse = extern struct { status: u16, headers: RawList(RawPair), body: RawText };
const RawProbeFailure = extern struct {
    tag: u8,
    value: extern union { text: RawText, cap: u64 },

    fn lift(self: *const RawProbeFailure) ProbeFailure {
        return switch (self.tag) {
            0 => .timeout,
            1 => .{ .unreached = self.value.text.lift() },
            2 => .{ .tls = self.value.text.lift() },
            3 => .{ .invalid_response = self.value.text.lift() },
            else => .{ .body_too_large = self.value.cap },
        };
    }
};

const RawAnswer = extern struct {
    source: RawText,
    tag: u8,
    outcome: extern union { response: RawResponse, failure: RawProbeFailure },

    fn lift(self: *const RawAnswer) Answer {
        const source = self.source.lift();
        if (self.tag != 0) return .{ .source = source, .outcome = .{ .failure = self.outcome.failure.lift() } };
        const raw = &self.outcome.response;
        const response: Response = .{
            .status = raw.status,
            .headers = liftPairs(raw.headers),
            .body = raw.body.lift(),
        };
        return .{ .source = source, .outcome = .{ .response = response } };
    }
};

const RawObservation = extern struct {
    instance: RawInstance,
    answers: RawList(RawAnswer),
    memory: RawOptionalText,
    attributes: RawList(RawPair),

    fn lift(self: *const RawObservation) Observation {
        const answers = many(Answer, self.answers.len);
        for (answers, 0..) |*answer, i| answer.* = self.answers.ptr[i].lift();
        return .{
            .instance = self.instance.lift(),
            .answers = answers,
            .memory = self.memory.lift(),
            .attributes = liftPairs(self.attributes),
        };
    }
};

const RawConfigured = extern struct { tag: u8, said: RawText };

const RawDecision = extern struct {
    health: u8,
    phase: RawOptionalNumber,
    participation: u8,
    reason: extern struct { tag: u8, code: RawText, detail: RawText },
    memory: RawOptionalText,
    attributes: RawList(RawPair),
};

const RawFailure = extern struct { tag: u8, detail: RawText };

const RawJudgement = extern struct {
    tag: u8,
    value: extern union { decision: RawDecision, failure: RawFailure },

    fn of(judgement: Judgement) RawJudgement {
        return switch (judgement) {
            .decision => |decision| .{ .tag = 0, .value = .{ .decision = lower(decision) } },
            .failure => |failure| .{ .tag = 1, .value = .{ .failure = switch (failure) {
                .unreadable => |detail| .{ .tag = 0, .detail = RawText.of(detail) },
                .unsupported => |detail| .{ .tag = 1, .detail = RawText.of(detail) },
                .internal => |detail| .{ .tag = 2, .detail = RawText.of(detail) },
            } } },
        };
    }

    fn lower(decision: Decision) RawDecision {
        const pairs = many(RawPair, decision.attributes.len);
        for (pairs, decision.attributes) |*raw, pair| {
            raw.* = .{ .name = RawText.of(pair.name), .value = RawText.of(pair.value) };
        }
        const reason: Reason = decision.reason orelse .{ .code = "", .detail = "" };
        return .{
            .health = @intFromEnum(decision.health),
            .phase = .{ .tag = @intFromBool(decision.phase != null), .value = decision.phase orelse 0 },
            .participation = @intFromEnum(decision.participation),
            .reason = .{
                .tag = @intFromBool(decision.reason != null),
                .code = RawText.of(reason.code),
                .detail = RawText.of(reason.detail),
            },
            .memory = RawOptionalText.of(decision.memory),
            .attributes = .{ .ptr = pairs.ptr, .len = pairs.len },
        };
    }
};

comptime {
    std.debug.assert(@sizeOf(RawObservation) == 116);
    std.debug.assert(@sizeOf(RawAnswer) == 40);
    std.debug.assert(@sizeOf(RawJudgement) == 60);
}
