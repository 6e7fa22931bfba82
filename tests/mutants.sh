#!/usr/bin/env bash
# Takes one guard of the core away at a time and shows that some test notices: a checker that
# cannot fail proves nothing. Works on a copy of the pure modules in a folder of its own; the tree
# is only read.
#
#   tests/mutants.sh            all mutants, about ten seconds each
#   tests/mutants.sh "zone|live" those whose name matches
#
# Ends with 1 when a mutant survives, with 2 when a mutant does not apply or does not build.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
only=${1:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/phasegate-mutants.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/src"
for module in domain health plan rollout sim; do
    cp -R "$root/host/core/src/$module" "$work/src/"
done
printf '//! The pure core alone.\n\n' >"$work/src/lib.rs"
for module in domain health plan rollout sim; do
    printf 'pub mod %s;\n' "$module" >>"$work/src/lib.rs"
done
cp "$root/Cargo.lock" "$work/"
version() { grep -E "^$1 = " "$root/Cargo.toml"; }
{
    printf '[package]\nname = "phasegate"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n'
    version serde && version sha2 && version thiserror && version jiff && version serde_json
    printf '\n[dev-dependencies]\n'
    version insta && version proptest
    printf '\n[profile.test]\nopt-level = 1\ndebug = false\n'
} >"$work/Cargo.toml"
cp -R "$work/src" "$work/good"

export PHASEGATE_SEEDS=${PHASEGATE_SEEDS:-3000}
export PROPTEST_FAILURE_PERSISTENCE=off
tests() { (cd "$work" && timeout 300 cargo test --offline --quiet --lib "$@" >"$work/log" 2>&1); }

if ! tests; then
    tail -40 "$work/log"
    echo "error: the tests fail without any mutant"
    exit 2
fi

killed=0 survived=0 broken=0

# mutant NAME FILE OLD NEW: replaces the text OLD, which must be there, by NEW.
mutant() {
    local name=$1 file=$2
    [[ $name =~ $only ]] || return 0
    rm -rf "$work/src" && cp -R "$work/good" "$work/src"
    OLD=$3 NEW=$4 perl -0pi -e 's/\Q$ENV{OLD}\E/$ENV{NEW}/' "$work/src/$file"
    if cmp -s "$work/src/$file" "$work/good/$file"; then
        printf '%-34s DOES NOT APPLY\n' "$name"
        broken=$((broken + 1))
    elif ! tests --no-run; then
        printf '%-34s DOES NOT BUILD\n' "$name"
        grep -m 3 -A 4 '^error' "$work/log" || true
        broken=$((broken + 1))
    elif tests; then
        printf '%-34s SURVIVED\n' "$name"
        survived=$((survived + 1))
    else
        local all invented first
        all=$(grep -c '^---- .* stdout ----' "$work/log" || true)
        invented=$(grep -c '^---- sim::.* stdout ----' "$work/log" || true)
        first=$(grep -m 1 -oE 'invariant [0-9]+ \([A-Za-z]+\)' "$work/log" || true)
        if [[ $all -eq 0 ]]; then
            printf '%-34s killed: the tests do not end within 300 s\n' "$name"
        else
            printf '%-34s killed by %s tests, %s of them simulated %s\n' "$name" "$all" "$invented" "${first:+($first)}"
        fi
        killed=$((killed + 1))
    fi
}

plan=plan/mod.rs admission=rollout/admission.rs gate=rollout/gate.rs step=rollout/step.rs
limits=rollout/limits.rs waiting=rollout/waiting.rs live=rollout/live.rs member=rollout/member.rs
rollback=rollout/rollback.rs deferred=rollout/deferred.rs

mutant skip $plan '            return Class::Held(HoldReason::Skip(detail.clone()));' '            { let _ = detail; None }'
mutant protection $plan 'if candidate.protection.from_scale_set_actions {' 'if false {'
mutant undecided $plan 'Standing::Undecided => return Class::Held(HoldReason::Undecided),' 'Standing::Undecided => None,'
mutant unknown $plan 'return Class::Held(HoldReason::Unknown(detail.clone())),' '{ let _ = detail; None }'
mutant already-there $plan 'if candidate.is_at(input.goal) {' 'if false {'
mutant phase-order $plan 'phase: phase.map_or(PhaseOrder::Last, PhaseOrder::Number),' 'phase: PhaseOrder::Last,'
mutant phase-last-first $plan '    Number(Phase),
    Last,' '    Last,
    Number(Phase),'
mutant zone-border $plan 'zone: if input.policy.enable_cross_zone_upgrade {' 'zone: if true {'
mutant update-domain-border $plan '        update_domain: candidate.update_domain,
    })' '        update_domain: None,
    })'
mutant silence-takes-back-skip plan/standing.rs 'Some((before, _)) if before.participation != Participation::Proceed => decided(before),' ''
mutant budget-check $limits 'limit.is_exceeded_by(fleet.unhealthy_count(), fleet.total())' 'limit.is_exceeded_by(0, fleet.total())'
mutant room $admission 'if upgrade.is_forward() { room(upgrade, &members, fleet) } else { usize::MAX }' 'if false { room(upgrade, &members, fleet) } else { usize::MAX }'
mutant room-forgets-the-rest $limits 'if !stays && !fleet.health(id).is_unhealthy() {' 'if !stays && fleet.health(id).is_unhealthy() {'
mutant any-initializing $waiting 'if fleet.any_initializing() {' 'if false {'
mutant pause $waiting '    if upgrade.paused {
        return Some(Waiting::Paused);' '    if false {
        return Some(Waiting::Paused);'
mutant pause-of-a-rollback $waiting '        return stopped(upgrade, fleet);
    }
    if now < resume_at' '        return None;
    }
    if now < resume_at'
mutant line $waiting 'Stop::Line { .. } => Some(Waiting::Line),' 'Stop::Line { .. } => None,'
mutant line-after-a-bypass $waiting 'is_some_and(|bypass| since <= bypass) => None,' 'is_some_and(|bypass| bypass.0 > 0 || since <= bypass) => None,'
mutant freeze $waiting 'Stop::Freeze { until } => Some(Waiting::Freeze { until }),' 'Stop::Freeze { .. } => None,'
mutant freeze-before-the-snapshot $admission 'if let Some(stopped) = stopped(upgrade, fleet) {' 'if let Some(stopped) = stopped(upgrade, fleet).filter(|_| false) {'
mutant approval $waiting '!upgrade.approved.contains(&next);' 'false;'
mutant live-asks $admission 'if is_live && now >= resume_at' 'if false && is_live && now >= resume_at'
mutant live-forgets-the-touched $live 'is_none_or(|member| member.state == MemberState::Pending)' 'is_none_or(|_| true)'
mutant live-defers-for-ever $live 'if late { expired(hold) } else { hold }' 'hold'
mutant next-part $member 'return MemberState::Applying { since: now, part };' 'let _ = part;'
mutant parts-back-in-order $member 'self.parts.iter().rposition(Part::is_to_be_restored)' 'self.parts.iter().position(Part::is_to_be_restored)'
mutant manual-overrides-protection rollout/manual.rs 'wanted().filter(|candidate| !is_protected(candidate))' 'wanted()'
mutant checkpoint $waiting 'if let Some(checkpoint) = checkpoint(upgrade) {' 'if let Some(checkpoint) = checkpoint(upgrade).filter(|_| false) {'
mutant not-now-joins-too-early rollout/state.rs 'take_while(|before| **before < phase)' 'take_while(|before| false && **before < phase)'
mutant not-now-is-not-asked-again $deferred 'upgrade.deferred.retain(|id, _| !due.contains(id));' 'upgrade.deferred.clear();'
mutant unrecorded-breach $gate '                out.changed.insert(id.clone());
                let back' '                let back'
mutant cancel-before-the-snapshot $admission '    if upgrade.cancel_requested {
        end(upgrade, UpgradeState::Cancelled, now);
        return true;
    }
    if let Some(stopped)' '    if let Some(stopped)'
mutant judge-again-before-a-batch $admission 'if upgrade.has_more() && gate::is_over_limit(upgrade, fleet) {' 'if false {'
mutant upgraded-limit $gate 'upgrade.is_forward() && limit.is_exceeded_by(unhealthy.len(), upgraded);
    let code' 'false;
    let code'
mutant unknown-passes-the-gate $gate '        Health::Healthy => {' '        Health::Healthy | Health::Unknown => {'
mutant initializing-passes-the-gate $gate '        Health::Healthy => {' '        Health::Healthy | Health::Initializing => {'
mutant batch-ends-early $gate '        if !member.state.is_terminal() {
            return false;
        }' '        if !member.state.is_terminal() {
            continue;
        }'
mutant deadline $gate 'let deadline = applied_at + gate.deadline;' 'let deadline = applied_at + gate.deadline * 100_000;'
mutant attempt-of-an-answer $step 'upgrade.operation(id, member.attempt) == *operation)' 'true || upgrade.operation(id, member.attempt) == *operation)'
mutant attempt-counts $step 'member.attempt += 1;' 'member.attempt = 1;'
mutant restore-target $member 'part.way_back().map(|previous| (&part.component, previous))' 'Some((&part.component, &part.target))'
mutant rollback-target $rollback 'let target = part.way_back()?.clone();' 'let target = part.target.clone();'
mutant rollback-of-the-untouched $rollback 'Way::InPlace if member.is_touched() => {}' 'Way::InPlace => {}'
mutant rollback-of-the-restored $member 'PartState::Failed { restored: Restored::Yes, .. } => false,' 'PartState::Failed { restored: Restored::Yes, .. } => true,'
mutant rollback-order $rollback 'for batch in upgrade.batches.iter().rev() {' 'for batch in upgrade.batches.iter() {'
mutant resume-asks-again $step '        ask(upgrade, &instance, out);
    }
}

fn effect_done' '    }
}

fn effect_done'
mutant prepare-anew $step '*until = (*until).max(now + upgrade.rules.prepare_max);' 'let _ = until;'
mutant wait-for-a-fleet-that-went-down $step 'upgrade.recovering_until = Some(now + upgrade.rules.gate.deadline);' 'upgrade.recovering_until = None;'
mutant unrecorded-change $step '    out.changed.insert(instance.clone());
    member.state = state;' '    member.state = state;'
mutant act-before-record sim/host.rs '        if !host.writes.is_empty() {
            if self.crashes_here' '        for effect in std::mem::take(&mut host.effects) {
            self.perform(host, effect);
        }
        if !host.writes.is_empty() {
            if self.crashes_here'

echo "$killed killed, $survived survived, $broken did not apply or build"
[[ $broken -eq 0 ]] || exit 2
[[ $survived -eq 0 ]] || exit 1
