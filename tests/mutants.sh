#!/usr/bin/env bash
# Takes one guard of the core away at a time and shows that some test notices: a checker that
# cannot fail proves nothing. Works on a copy of the crate in a folder of its own; the tree is only
# read.
#
#   tests/mutants.sh              all mutants, one compilation and one run of the tests each
#   tests/mutants.sh "zone|live"  those whose name matches
#   tests/mutants.sh --applies    only looks whether each of them still fits the text; takes a second
#
# Ends with 1 when a mutant survives, with 2 when a mutant does not apply or does not build.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
applies_only=no
if [[ ${1:-} == --applies ]]; then
    applies_only=yes
    shift
fi
only=${1:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/phasegate-mutants.XXXXXX")
trap 'rm -rf "$work"' EXIT

cp -R "$root/host/core/src" "$work/src"
cp -R "$work/src" "$work/good"
cp "$root/Cargo.lock" "$work/"

# The dependencies of a section of the core's manifest, with the workspace's versions.
dependencies() {
    local name
    awk -v section="[$1]" '$0 == section { on = 1; next } /^\[/ { on = 0 }
        on && /\.workspace = true$/ { sub(/\.workspace.*/, ""); print }' "$root/host/core/Cargo.toml" |
        while read -r name; do grep -E "^$name = " "$root/Cargo.toml"; done
}
{
    printf '[package]\nname = "phasegate-core"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n'
    printf '\n[dependencies]\n' && dependencies dependencies
    printf '\n[dev-dependencies]\n' && dependencies dev-dependencies
    printf '\n[profile.test]\nopt-level = 1\ndebug = false\n'
} >"$work/Cargo.toml"

export PHASEGATE_SEEDS=${PHASEGATE_SEEDS:-3000}
export PROPTEST_FAILURE_PERSISTENCE=off
tests() { (cd "$work" && timeout 900 cargo test --offline --quiet --lib "$@" >"$work/log" 2>&1); }

if [[ $applies_only == no ]] && ! tests; then
    tail -40 "$work/log"
    echo "error: the tests fail without any mutant"
    exit 2
fi

killed=0 survived=0 broken=0 fits=0
only_worlds=no

# Whether the tests let a mutant of a file live. Of kernel and lifecycle their own tests come first, which
# take a moment; the worlds of the simulator only where those notice nothing.
lives() {
    local room=${1%%/*}
    if [[ $only_worlds == yes ]]; then
        tests sim::tests::every_seed
        return
    fi
    case $room in
        kernel | lifecycle) tests "$room::" && tests ;;
        *) tests ;;
    esac
}

# mutant NAME FILE OLD NEW: replaces the text OLD, which must be there, by NEW.
mutant() {
    local name=$1 file=$2
    [[ $name =~ $only ]] || return 0
    rm -rf "$work/src" && cp -R "$work/good" "$work/src"
    OLD=$3 NEW=$4 perl -0pi -e 's/\Q$ENV{OLD}\E/$ENV{NEW}/' "$work/src/$file"
    if cmp -s "$work/src/$file" "$work/good/$file"; then
        printf '%-42s DOES NOT APPLY\n' "$name"
        broken=$((broken + 1))
    elif [[ $applies_only == yes ]]; then
        fits=$((fits + 1))
    elif ! tests --no-run; then
        printf '%-42s DOES NOT BUILD\n' "$name"
        grep -m 3 -A 4 '^error' "$work/log" || true
        broken=$((broken + 1))
    elif lives "$file"; then
        printf '%-42s SURVIVED\n' "$name"
        survived=$((survived + 1))
    else
        local all invented first
        all=$(grep -c '^---- .* stdout ----' "$work/log" || true)
        invented=$(grep -cE '^---- (sim|lifecycle::tests::world)::.* stdout ----' "$work/log" || true)
        first=$(grep -m 1 -oE 'invariant [0-9]+ \([A-Za-z]+\)' "$work/log" || true)
        if [[ $all -eq 0 ]]; then
            printf '%-42s killed: the tests do not end within 900 s\n' "$name"
        else
            printf '%-42s killed by %s tests, %s of them simulated %s\n' "$name" "$all" "$invented" "${first:+($first)}"
        fi
        killed=$((killed + 1))
    fi
}

plan=plan/mod.rs group=plan/group.rs admission=rollout/admission.rs gate=rollout/gate.rs step=rollout/step.rs
limits=rollout/limits.rs waiting=rollout/waiting.rs live=rollout/live.rs member=rollout/member.rs
rollback=rollout/rollback.rs deferred=rollout/deferred.rs

mutant skip $plan '            Err(HoldReason::Skip(detail.clone()))' '            { let _ = detail; Ok(None) }'
mutant protection $plan 'if candidate.protection.from_scale_set_actions {' 'if false {'
mutant undecided $plan 'Standing::Undecided => Err(HoldReason::Undecided),' 'Standing::Undecided => Ok(None),'
mutant unknown $plan 'Standing::Unknown { detail, .. } => Err(HoldReason::Unknown(detail.clone())),' 'Standing::Unknown { .. } => Ok(None),'
mutant already-there $plan 'if input.there == There::Stays && candidate.is_at(input.goal) {' 'if false {'
mutant phase-order $plan 'phase: phase.map_or(PhaseOrder::Last, PhaseOrder::Number),' 'phase: PhaseOrder::Last,'
mutant phase-last-first $group '    Number(Phase),
    Last,' '    Last,
    Number(Phase),'
mutant zone-border $plan 'zone: if rolling.enable_cross_zone_upgrade {' 'zone: if true {'
mutant update-domain-border $plan '        update_domain: candidate.update_domain,
    })' '        update_domain: None,
    })'
mutant silence-takes-back-skip plan/standing.rs 'Some((before, _)) if before.participation != Participation::Proceed => stands_in(before),' ''
mutant phase-is-lost-with-the-health plan/standing.rs 'decision.phase.or(answered_phase)' 'answered_phase'
mutant budget-check $limits 'limit.is_exceeded_by(unhealthy, total)' 'limit.is_exceeded_by(0, total)'
mutant machines-all-at-once $limits 'Some(most.saturating_sub(flying))' 'Some(most.max(usize::MAX - flying))'
mutant batch-of-the-whole-set plan/mod.rs 'input.batches_before + index, whole.of_domain(domain))' 'input.batches_before + index, input.total)'
mutant room $admission 'if upgrade.is_forward() { room(upgrade, number, fleet) }' 'if false { room(upgrade, number, fleet) }'
mutant room-forgets-the-rest $limits 'if !stays && !down.contains(id) && !doubted.contains(id) {' 'if !stays && down.contains(id) {'
mutant batch-of-those-that-were-there $limits 'of_batch(batch).take(batch_max)' 'of_batch(batch).take(batch_max.max(usize::MAX))'
mutant any-initializing $waiting 'if fleet.initializing_count() > 0 {
        // It ends' 'if false {
        // It ends'
mutant pause $waiting '    if upgrade.paused {
        return Some(Waiting::Paused);' '    if false {
        return Some(Waiting::Paused);'
mutant pause-of-a-rollback $waiting '        return stopped(upgrade, fleet, now);
    }
    if now < resume_at' '        return None;
    }
    if now < resume_at'
mutant line $waiting 'Stop::Line { .. } => Some(Waiting::Line),' 'Stop::Line { .. } => None,'
mutant line-after-a-bypass $waiting 'is_some_and(|bypass| since <= bypass) => None,' 'is_some_and(|bypass| bypass.0 > 0 || since <= bypass) => None,'
mutant freeze $waiting 'Stop::Freeze { until, .. } => Some(Waiting::Freeze { until }),' 'Stop::Freeze { .. } => None,'
mutant freeze-of-a-rollback $waiting 'if matches!(upgrade.purpose, Purpose::Rollback { .. }) => None,' 'if upgrade.past_brake => None,'
mutant freeze-before-the-snapshot $admission 'if let Some(stopped) = stopped(upgrade, fleet, now) {' 'if let Some(stopped) = stopped(upgrade, fleet, now).filter(|_| false) {'
mutant approval $waiting '!upgrade.approved.contains(phase);' 'false;'
mutant live-asks $admission 'if is_live && now >= resume_at' 'if false && is_live && now >= resume_at'
mutant live-forgets-the-touched $live 'is_none_or(|member| member.state == MemberState::Pending)' 'is_none_or(|_| true)'
mutant live-defers-for-ever $live 'if late { expired(hold) } else { hold }' 'hold'
mutant next-part $member 'return MemberState::Applying { since: now, part };' 'let _ = part;'
mutant parts-back-in-order $member 'self.parts.iter().rposition(Part::is_to_be_restored)' 'self.parts.iter().position(Part::is_to_be_restored)'
mutant manual-overrides-protection rollout/manual.rs 'wanted().filter(|one| !is_protected(one) && !has_nothing(one))' 'wanted().filter(|one| !has_nothing(one))'
mutant checkpoint $waiting 'if let Some(checkpoint) = checkpoint(upgrade) {' 'if let Some(checkpoint) = checkpoint(upgrade).filter(|_| false) {'
mutant not-now-joins-too-early rollout/adopt.rs 'take_while(|before| **before < phase)' 'take_while(|before| false && **before < phase)'
mutant not-now-is-not-asked-again $deferred 'upgrade.deferred.retain(|id, _| !due.contains(id));' 'upgrade.deferred.clear();'
mutant unrecorded-breach $gate '                out.changed.insert(id.clone());
                batch_has_failed' '                batch_has_failed'
mutant cancel-before-the-snapshot $admission '    if upgrade.cancel_requested {
        end(upgrade, UpgradeState::Cancelled, now);
        return true;
    }
    if let Some(stopped)' '    if let Some(stopped)'
mutant judge-again-before-a-batch $admission 'if upgrade.has_more() && gate::is_over_limit(upgrade, fleet) {' 'if false {'
mutant upgraded-limit $gate 'upgrade.purpose != Purpose::Manual && limit.is_exceeded_by(bad, upgraded);
    let code' 'false;
    let code'
mutant brake-of-a-rollback $gate 'upgrade.purpose != Purpose::Manual && limit.is_exceeded_by(bad, upgraded);
    let code' 'upgrade.is_forward() && limit.is_exceeded_by(bad, upgraded);
    let code'
mutant stop-leaves-the-driver-at-it rollout/stopping.rs 'if ends {' 'if false && ends {'
mutant stop-does-not-wait-for-the-driver rollout/stopping.rs 'if upgrade.members.in_flight().next().is_some() {' 'if false {'
mutant stop-leaves-the-judged-of-the-batch rollout/stopping.rs 'back.try_again_to_restore();' ''
mutant resume-is-for-ever $step 'Wish::Resume if upgrade.paused => end_pause(upgrade, now),' 'Wish::Resume if upgrade.paused => {
            end_pause(upgrade, now);
            upgrade.resumed.extend(waiting::checkpoint_behind(upgrade));
        }'
mutant not-now-is-asked-only-at-the-end $deferred 'next.is_none_or(|next| *phase <= next);' 'next.is_none_or(|next| *phase < next);'
mutant word-never-ends kernel/word.rs 'word.until.is_some_and(|until| until <= now.at);' 'word.until.is_some_and(|until| until.0 < 0);'
mutant word-is-not-heeded-at-once rollout/reasked.rs 'if upgrade.reask.is_empty() {' 'if true {'
mutant unknown-passes-the-gate $gate '        Health::Healthy => {' '        Health::Healthy | Health::Unknown => {'
mutant initializing-passes-the-gate $gate '        Health::Healthy => {' '        Health::Healthy | Health::Initializing => {'
mutant batch-ends-early $gate 'if progress.pending + progress.in_progress > 0 {' 'if progress.pending > 0 {'
mutant deadline $gate 'let deadline = applied_at + gate.deadline;' 'let deadline = applied_at + gate.deadline * 100_000;'
mutant attempt-of-an-answer $step 'upgrade.operation(id, member.attempt) == *operation;' 'true || upgrade.operation(id, member.attempt) == *operation;'
mutant attempt-counts $step 'member.attempt += 1;' 'member.attempt = 1;'
mutant restore-target $member 'part.way_back().map(|previous| (&part.component, previous))' 'Some((&part.component, &part.target))'
mutant rollback-target $rollback 'let target = part.way_back()?.clone();' 'let target = part.target.clone();'
mutant rollback-of-the-untouched $rollback 'Way::InPlace if member.is_touched() => {}' 'Way::InPlace => {}'
mutant rollback-of-the-restored rollout/part.rs 'Restored::Yes | Restored::NotNeeded, .. } => false,' 'Restored::NotNeeded, .. } => false,'
mutant rollback-order $rollback 'for batch in upgrade.batches.iter().rev() {' 'for batch in upgrade.batches.iter() {'
mutant resume-asks-again $step '        ask(upgrade, &instance, out);
    }
}

/// Those that were not heard' '    }
}

/// Those that were not heard'
mutant prepare-anew $step '*until = (*until).max(now + upgrade.policy.prepare_max);' 'let _ = until;'
mutant wait-for-a-fleet-that-went-down $step 'upgrade.recovering_until = Some(now + upgrade.policy.gate.deadline);' 'upgrade.recovering_until = None;'
mutant unrecorded-change $step '        out.changed.insert(instance.clone());
        ask(upgrade, instance, out);' '        ask(upgrade, instance, out);'

# The kernel: facts and intents, and what a refused commit leaves.
commit=kernel/commit.rs start=kernel/start.rs done=kernel/done.rs requests=kernel/requests.rs
judged=kernel/judged.rs memory=kernel/memory.rs line=kernel/line.rs ended=kernel/ended.rs

mutant kernel-refused-effects-are-done-later $commit 'effects.truncate(facts.effects);' 'let _ = &mut effects;'
mutant kernel-effects-while-the-store-refuses $commit '(self.recording.writes, self.recording.effects) = (out.writes, out.effects);' '(self.recording.writes, turn.effects) = (out.writes, out.effects);'
mutant kernel-undo-is-not-restored $commit '(self.fleet, self.requests, self.numbers) = (fleet, requests, numbers);' 'let _ = (fleet, requests, numbers);'
mutant kernel-facts-are-dropped-on-refusal $commit 'writes.truncate(facts.writes);' 'writes.clear();'
mutant kernel-intents-are-not-written-over $commit 'writes.extend(self.written_over(&intents));' 'let _ = &intents;'
mutant kernel-trail-is-not-cut kernel/commit/over.rs 'writes.push(Write::TrailEnds(self.numbers.audit));' ''
mutant kernel-head-is-not-written-over kernel/commit/over.rs 'None => Write::UpgradeGone(head.id.clone()),' 'None => return None,'
mutant kernel-line-is-not-written-over kernel/commit/over.rs 'Write::Line(_) => Write::Line(self.fleet.line.clone()),' 'Write::Line(_) => return None,'
mutant kernel-granted-though-not-recorded $commit 'Ok(_) | Err(_) => Err(Refusal::NotRecorded { why: why.to_owned() }),' 'other => other,'
mutant kernel-request-waits-for-the-next-try $commit 'patience == Patience::None || self.refusing' '(false && patience == Patience::None) || self.refusing'
mutant kernel-refusal-is-not-said $commit 'self.fleet.refusing = Some(why.as_str().into());' ''
mutant kernel-recovery-is-not-noticed $commit 'self.recording.refusing = None;
            self.fleet.refusing = None;' 'self.recording.refusing = None;'
mutant kernel-doubt-is-answered-at-once $commit 'Made::NotKnown => self.recording.hold(undone),' 'Made::NotKnown => turn.replies.extend(undone),'
mutant kernel-doubt-ends-with-the-next-refusal $commit 'if self.recording.is_held(id) || by_lives.contains(&id) {' 'if by_lives.contains(&id) {'
mutant kernel-held-answers-are-never-sent kernel/mod.rs 'turn.replies.extend(self.recording.answers());' ''
mutant kernel-held-answers-are-sent-for-ever $commit 'self.recording.held.clear();' ''
mutant kernel-held-answers-grow $commit 'self.held.drain(..beyond);' 'let _ = beyond;'
mutant kernel-wakes-for-what-waits $commit 'return Some(again_at.max(now.at));' 'let _ = again_at;'
mutant kernel-timers-are-not-noted $commit 'self.note_timers();
        (turn.writes' '(turn.writes'
mutant kernel-old-timer-stays kernel/timers.rs 'self.ordered.remove(&(before, name.clone()));' 'let _ = before;'
mutant kernel-numbers-begin-anew kernel/mod.rs 'upgrade: stored.upgrade_number,' 'upgrade: 0,'
mutant kernel-request-key-is-ignored $requests 'self.by_key.get(request.key.as_ref()?)?;' 'self.by_key.get(request.key.as_ref()?).filter(|_| false)?;'
mutant kernel-key-of-another-request $requests 'if known.asked != asked {' 'if false {'
mutant kernel-reload-is-not-remembered $requests '(Command::Reconfigure(change), Reply::Reconfigured(taken)) => Some(reload(change, taken)),' '(Command::Reconfigure(change), Reply::Reconfigured(taken)) => { let _ = reload(change, taken); None }'
mutant kernel-asking-for-a-reload-takes-the-key kernel/mod.rs '.filter(|reply| **reply != Reply::Recalled(None))' ''
mutant kernel-reload-ignores-its-key kernel/mod.rs 'let answer = match self.requests.repeated(&request, &self.fleet) {' 'let answer = match self.requests.repeated(&request, &self.fleet).filter(|_| !matches!(request.command, Command::Reconfigure(_))) {'
mutant kernel-requests-are-never-forgotten $requests 'while self.by_key.len() > REMEMBERED_MAX {' 'while false {'
mutant kernel-epoch-is-not-compared kernel/state/instance.rs 'if decided.epoch != self.epoch {' 'if false {'
mutant kernel-no-new-life-with-an-effect kernel/perform.rs 'if life == Life::New {' 'if false {'
mutant kernel-busy-is-not-compared kernel/state.rs 'busy.is_some_and(|busy| busy.operation == *operation)' 'busy.is_some()'
mutant kernel-in-force-is-ignored kernel/state/standing.rs 'in_force: self.in_force,' 'in_force: None,'
mutant kernel-first-of-a-generation-wakes-none $judged 'set.dirty |= first || before' 'set.dirty |= before'
mutant kernel-done-is-believed $done '(Seen::Version(seen), Some(wanted), _) if seen != wanted => {' '(Seen::Version(seen), Some(wanted), _) if false && seen != wanted => {'
mutant kernel-late-sight-is-recorded kernel/sight.rs '.filter(|look| look.epoch == epoch)?' '?'
mutant kernel-admission-names-the-latest kernel/state/standing.rs '(Basis::Answered, Some(answered)) => {' '(Basis::Answered, Some(answered)) if answered.at.0 < 0 => {'
mutant kernel-doubt-has-no-line kernel/doubts.rs 'told(set, Doubt::Began { silent, of }, now, out);' ''
mutant kernel-failed-start-is-left $done 'instance.retry_at = Some(now.at + START_AGAIN.after(1, instance.epoch));' ''
mutant kernel-failed-start-stays-healthy $done 'instance.fold.stopped();' ''
mutant kernel-failed-start-is-not-down $done 'instance.down = true;' ''
mutant health-second-grace-period health/fold.rs 'self.observed = Some(fail_state);
        self.streak = 0;' 'self.observed = None;
        self.streak = 0;'
mutant kernel-late-note kernel/note.rs 'if at >= instance.applied_at {' 'if true {'
mutant kernel-another-plan-is-started $start 'check_digest(&plan, wanted)?;' 'let _ = wanted;'
mutant kernel-quarantine-is-not-asked $start 'check_quarantine(set, &goal, quarantined)?;' 'let _ = quarantined;'
mutant kernel-quarantine-is-not-written $ended 'out.writes.push(Write::Quarantine(name.clone(), change, Some(error.message.clone())));' 'let _ = change;'
mutant kernel-quarantine-is-not-lifted $start 'set.quarantined.remove(change);
        out.writes.push(Write::Quarantine(name.clone(), change.clone(), None));' 'set.quarantined.remove(change);'
mutant kernel-surge-without-a-creator $start 'check_creation(set)?;' ''
mutant kernel-touched-is-not-kept $ended 'set.touched = Some(Arc::clone(&upgrade));' ''
mutant kernel-line-is-not-copied-to-sets $line 'set.line.clone_from(&line);' ''
mutant kernel-line-is-not-recorded $line 'out.writes.push(Write::Line(line.clone()));' ''
mutant kernel-line-without-a-reason $line '!text.is_empty() && text.len()' 'text.len()'
mutant kernel-memory-is-dropped-on-refusal $memory 'self.offered = false;' 'self.waiting.clear();'
mutant kernel-memory-is-recorded-for-ever $memory 'self.waiting.clear();
            self.due = None;' 'self.due = None;'

# The lives of plugins.
prepare=lifecycle/prepare.rs promote=lifecycle/promote.rs back=lifecycle/rollback.rs opens=lifecycle/gate.rs
circuit=lifecycle/circuit.rs life=lifecycle/life.rs unfit=lifecycle/unfit.rs

mutant life-late-answer lifecycle/step.rs 'let is = |job: &mut super::job::Job| job.load.ticket == ticket;' 'let is = |_: &mut super::job::Job| true;'
mutant life-wakes-in-the-past lifecycle/step.rs 'all.filter(|at| *at > now).min()' '{ let _ = now; all.min() }'
mutant life-generation-is-reused $life 'Generation(highest.unwrap_or(0).saturating_add(1))' 'Generation(highest.unwrap_or(1))'
mutant life-shadow-is-not-recorded $life 'shadow: self.stored_shadow(),' 'shadow: None,'
mutant life-watch-is-not-recorded $life 'watch: self.stored_watch(),' 'watch: None,'
mutant life-gate-is-ignored $prepare 'Some(reason) if is_heeded(&job) => fail' 'Some(reason) if false && is_heeded(&job) => fail'
mutant life-end-of-a-job-is-not-said $unfit 'out.act(Effect::Cancel(job.load.ticket));
    match &job.purpose {' 'match &job.purpose {'
mutant life-pin-is-ignored $prepare 'spec.digest.filter(|wanted| *wanted != seen)?;' 'spec.digest.filter(|wanted| false && *wanted != seen)?;'
mutant life-refusal-is-not-remembered $unfit '    if is_remembered {' '    if false && is_remembered {'
mutant life-hand-is-waited-for-for-ever $unfit 'let late = |job: &mut Job| job.until <= now.at;' 'let late = |_: &mut Job| false;'
mutant life-discard-keeps-the-load lifecycle/discard.rs 'if let Some(job) = life.load.take_if(can_go) {' 'if let Some(job) = life.load.clone().take_if(can_go) {'
mutant life-one-load-at-a-time lifecycle/swap.rs 'if let Some(job) = &life.load {' 'if let Some(job) = life.load.as_ref().filter(|_| false) {'
mutant life-refused-file-comes-up-again lifecycle/file.rs 'if life.considered == Some(digest) && !runs {' 'if false && !runs {'
mutant life-takes-over-unrecorded $promote 'return fail(life, out, job, Unfit::NotRecorded(said.to_owned()), now);' 'let _ = said;'
mutant life-starts-unrecorded lifecycle/startup.rs 'return cannot(life, out, (Stage::Promote, unfit, job.candidate.source));' 'let _ = unfit;'
mutant life-forced-is-watched $promote '(_, SwapMode::Force) => (Why::Forced, Afterwards::Nothing),' '(_, SwapMode::Force) => (Why::Forced, Afterwards::Watch),'
mutant life-ready-does-not-wait-for-a-way-back $promote 'if is_going_back(life) && !is_start {' 'if false && !is_start {'
mutant life-overtaken-load-goes-on lifecycle/takeover.rs 'overtake(life, out, former.generation, now);' ''
mutant life-left-is-not-marked $back 'last.left_because = Some(left.to_string());' 'let _ = last;'
mutant life-goes-back-to-no-better $back 'seen.failed_old > seen.failed_new;' 'seen.failed_old >= seen.failed_new;'
mutant life-forced-gives-way $circuit 'if life.history.last().is_some_and(|last| last.forced == Forced::Yes) {' 'if false {'
mutant life-circuit-does-not-wait-for-the-watch $circuit 'if is_busy || life.is_watched() ||' 'if is_busy ||'
mutant life-goes-back-to-what-was-left lifecycle/history.rs 'if one.left_because.is_none() {' 'if true {'
mutant life-gate-opens-before-all-are-compared $opens 'seen.compared >= seen.instances && time' 'time'
mutant life-forbidden-waits-for-more $opens 'if let Some(banned) = &seen.forbidden {' 'if let Some(banned) = seen.forbidden.as_ref().filter(|_| false) {'
mutant life-one-failure-goes-back $opens '.filter(|_| seen.more_failures() >= enough)' '.filter(|_| enough > 0)'
mutant life-watch-ends-unseen lifecycle/watch.rs ' || observations == 0 {' ' {'
mutant life-reload-takes-over-what-took-over lifecycle/reload/take_up.rs 'before.filter(|before| *before != active.generation) {' 'before.filter(|_| false) {'

# What a batch is admitted on, and when a host doubts itself.
times=rollout/timeouts.rs verdict=rollout/verdict.rs moved=rollout/reconfigured.rs adopted=rollout/adopt.rs newcomer=kernel/state/given.rs
mutant times-never-over $times 'find(|limit| limit.left.is_zero())' 'find(|_| false)'
mutant times-count-in-a-pause $times '        return Some(now);
    }
    let holding' '        return None;
    }
    let holding'
mutant times-stopped-when-somebody-looks $times 'self.counted.saturating_add(held.min(now).since(since))' 'self.counted.saturating_add(now.since(since))'
mutant times-of-the-batch-before rollout/admission.rs 'upgrade.spent.begin_batch(now);' ''
mutant times-stop-a-way-back rollout/rollback.rs 'timeouts: Timeouts::default(),' ''
mutant verdict-one-for-all $verdict 'if guilty.is_empty() || guilty.len() == open.changes().count() {' 'if true {'
mutant verdict-what-ended-goes-on $verdict 'member.parts.retain(|part| !ended.contains(&part.component));' ''
mutant moved-stays-in-its-batch $moved 'if here != (batch.zone.clone(), batch.update_domain) {' 'if false {'
mutant empty-canary-proves-something $adopted 'self.unproven.contains(&phase)' 'false'
mutant newcomer-gets-what-is-wanted $newcomer 'sound.or(good).or(configured).cloned()' 'self.model.of(component).cloned()'
mutant newcomer-from-quarantine $newcomer 'all.clone().find(|version| !self.quarantined.contains_key(&of(version)))' 'all.clone().next()'
mutant plan-whichever-it-is rollout/admission.rs 'upgrade.expects.is_some_and(|expected| expected != plan.digest)' 'false'

evidence=rollout/evidence.rs word=kernel/state/evidence.rs doubts=kernel/doubts.rs bake=rollout/bake.rs
mutant evidence-is-not-waited-for $evidence 'Evidence::Awaited { until } => Some(Waiting::Evidence { until }),' 'Evidence::Awaited { .. } => None,'
mutant evidence-of-the-batch-before $gate '    upgrade.evidence_from = now + evidence::MOMENT;
' ''
mutant evidence-of-the-host-before $step '    upgrade.evidence_from = now;
    evidence::ask(upgrade, out);' ''
mutant evidence-nobody-is-asked-out-of-turn $gate 'evidence::ask(upgrade, out);' ''
mutant evidence-missed-answer-is-not-asked-again kernel/judged.rs 'if after.settled_at() < from && after.is_silent() {' 'if false {'
mutant evidence-silence-counts-at-once $word 'const ASKED: usize = 3;' 'const ASKED: usize = 1;'
seen=kernel/state/seen.rs
mutant seen-in-an-upgrade $seen 'if self.active().is_some() || self.suspicion.is_some() {' 'if self.suspicion.is_some() {'
mutant seen-of-another-life $seen '            && *epoch == self.epoch' ''
mutant seen-out-of-rhythm $seen 'if !is_in_rhythm || !instance' 'if !instance'
mutant seen-before-it-is-settled $seen '            && self.fold.settled(decision.claim) == Settled::Forever' ''
mutant seen-in-silence $word 'heard == Heard::Answer && is_settled' 'is_settled'
mutant seen-and-forgotten $seen 'instance.word.settled_at().max(again)' '{ let _ = again; instance.word.settled_at() }'
mutant seen-is-fresh-for-ever $seen 'Some(again.map_or(answered.at, |again| again.ended_at))' 'Some(again.map_or(answered.at, |again| again.ended_at + std::time::Duration::from_secs(600)))'
mutant seen-is-not-taken-in kernel/state.rs 'instance.take_in(again);' '_ = again;'
mutant evidence-silent-candidate $evidence '|| fleet.has_answered(id, upgrade.evidence_from)' '|| true'
mutant evidence-never-left-out $evidence 'Some(since) => leave_out(' 'Some(since) if false => leave_out('
mutant evidence-worse-answer-counts-when-committed kernel/state/instance.rs 'self.fold.health() == Health::Healthy && self.word.is_worse()' 'false && self.word.is_worse()'
mutant evidence-live-silence-is-consent $live 'if !consents || first || fleet.has_answered(&candidate.id, from) {' 'if true {'
mutant evidence-asked-twice-counts-twice kernel/state/instance.rs 'is_first || began_at.since(self.word.counted_at()) >= rhythm.interval / 2' 'true'
mutant start-is-not-asked-soon kernel/judged.rs 'if after < health.interval {' 'if false {'
mutant grace-ends-by-chance health/fold.rs 'if missing <= interval / 10 { began_at + missing } else { began_at }' 'began_at'
mutant grace-ends-over-a-healthy-claim health/fold.rs 'at_grace_end == GraceEnd::HearOut && claim == Claim::Healthy' 'false && at_grace_end == GraceEnd::HearOut'
mutant doubt-host-stood-still-is-not-told $doubts 'instance.was_not_looked_at(length)' '_ = (instance, length)'
mutant doubt-late-time-out-counts kernel/judged.rs 'if stood_still_meanwhile(set, &decided) {' 'if false {'
mutant doubt-never $doubts 'silent >= SILENT_LEAST && silent * 2 > untouched(set)' 'false && silent * 2 > untouched(set)'
mutant doubt-of-a-start $word 'if self.has_spoken {' 'if true {'
mutant doubt-of-all-never kernel/doubts/whole.rs 'silent * 2 > self.untouched' 'silent > self.untouched + 99'
mutant doubt-of-all-holds-everybody kernel/doubts/whole.rs 'if after.is_some_and(|after| after.unanswered > 0) {' 'if after.is_some() {'
mutant doubt-of-all-of-two kernel/doubts/whole.rs 'const UNTOUCHED_LEAST: usize = 3;' 'const UNTOUCHED_LEAST: usize = 2;'
mutant doubt-of-all-is-not-awaited kernel/state/view.rs 'let latest = own.max(beside.filter(is_recent))?;' 'let latest = own.filter(|_| beside.is_none_or(|_| true))?;'
mutant doubt-for-ever $doubts 'let Some(since) = set.suspicion.take() else { return };' 'let Some(since) = set.suspicion else { return };'
mutant doubt-restores $gate 'Some(until) if fleet.health(member.watched(id)).is_unhealthy() => {' 'Some(until) if false => {'
mutant gate-passes-what-has-ended kernel/state/view.rs 'if instance.down && instance.fold.health() == Health::Healthy => Health::Unknown,' 'if false => Health::Unknown,'
mutant bake-by-time-alone $bake 'if is_good && rounds >= bake.probes && over_at <= now' 'if is_good && over_at <= now'
mutant bake-by-answers-alone $bake 'if is_good && rounds >= bake.probes && over_at <= now' 'if is_good && rounds >= bake.probes'
mutant bake-judges-nobody $bake 'if is_over && upgrade' 'if false && upgrade'
mutant bake-ends-well-whoever-is-down $bake 'let is_good = !is_over && !gate::upgraded_come_up(upgrade, fleet);' 'let is_good = true;'
mutant bake-forgets-who-ended-in-it kernel/note.rs 'ended.insert(id.clone(), format!("ended by itself in the bake: {text}"));' 'ended.clear();'
mutant evidence-an-answer-without-a-word $word 'is_answer: heard == Heard::Answer && has_word' 'is_answer: heard == Heard::Answer'
mutant evidence-closed-connections-are-answers domain/observation.rs '                | ProbeFailure::InvalidResponse(_),
            ) => true,
            Ok(_)' '            ) => true,
            Ok(_) | Err(ProbeFailure::InvalidResponse(_))'
mutant force-overrides-unknown-health kernel/state/standing.rs 'said.claim != Claim::Unknown || unhealthy_first' 'true || unhealthy_first'
mutant parts-are-all-blamed $step 'member.latest_has_failed(&reason);' 'member.applied_have_failed(&reason);'
mutant parts-are-not-judged-apart rollout/member.rs '        if self.parts.iter().any(|part| part.state == PartState::Applied) {
            return MemberState::Settling' '        if !self.parts.iter().any(|part| part.state == PartState::Waiting) && self.parts.iter().any(|part| part.state == PartState::Applied) {
            return MemberState::Settling'
mutant rollback-says-nothing-of-who-stays rollout/rollback.rs 'holds.extend(without_way_back(before.occupant(id), before));' ''
mutant stopping-bars-a-way-back rollout/stopping.rs 'if direction == Direction::Forward || batch == OnInstanceFailure::Leave =>' 'if direction == Direction::Forward || true =>'
mutant short-deadline plan/feasibility.rs '(deadline < least).then_some(Finding::ShortDeadline { deadline, least })' 'None'

# Guards that only a world with crashes, retries and instances that come and go can miss.
mutant world-retry-survives-a-start $start 'out.writes.push(Write::Retry(name.clone(), None));' ''
mutant world-orphans-are-kept kernel/boot.rs 'orphans(&mut state, out);' 'let _ = orphans;'
mutant world-leaving-is-not-asked-again kernel/boot.rs '            surge::delete_again(set, memories, &id, now, out);
            continue;' '            continue;'
mutant provision-order-is-not-kept domain/provision.rs 'waits(part) && part.after.iter().all(is_there)' 'waits(part)'
mutant provision-goes-on-after-a-failure domain/provision.rs 'matches!(other.state, Provisioned::Failed { .. } | Provisioned::NotInstalled { .. });' 'false;'
mutant provision-nobody-is-new-at-a-start kernel/boot.rs 'provision::begin(state, &id, now, out);' 'let _ = id;'
mutant provision-nobody-is-new-later kernel/members.rs 'provision::begin(set, id, now, out);' 'let _ = now;'
mutant provision-is-not-recorded kernel/provision.rs 'if changed == Some(true) {' 'if changed == Some(true) && set.spec.instances.is_empty() {'
mutant provision-is-ready-before kernel/state/instance.rs '&& !self.is_provisioned_first()' ''
mutant provision-is-a-candidate kernel/state/standing.rs 'if instance.is_provisioned_first() {' 'if instance.is_provisioned_first() && self.spec.instances.is_empty() {'
mutant provision-asks-before-it-knows kernel/provision.rs '(Custody::Host, Runs::Nothing { .. }) | (_, Runs::Unknown { .. }) => false,' '(Custody::Host, Runs::Nothing { .. }) | (_, Runs::Unknown { .. }) => true,'
mutant provision-lasts-for-ever kernel/provision.rs 'expire(set, id, now, out);' 'let _ = id;'
mutant provision-installs-what-is-there kernel/provision.rs 'if there(part) {' 'if there(part) && part.version.as_str().is_empty() {'
mutant members-of-one-that-goes-are-not-recorded kernel/members.rs 'out.writes.push(Write::Membership(name, id.clone(), Some(Box::new(away.membership()))));' 'let _ = name;'
mutant members-one-that-goes-is-not-ended kernel/members.rs 'out.effects.extend(request.map(|request| Effect::Dismiss(Box::new(request))));' 'let _ = request;'
mutant members-one-that-comes-back-is-new kernel/members.rs 'removed.kept.give(&mut state);' 'let _ = removed;'
mutant members-an-old-life-counts-for-one-that-comes-back kernel/state/away.rs 'instance.epoch = epoch + 1;' 'let _ = epoch;'
mutant members-one-that-moves-goes-on-living kernel/members.rs 'instance.spec.address != next.address && instance.is_member()' 'false && instance.is_member()'
mutant members-one-that-goes-stays-in-the-upgrade kernel/members.rs 'reconfigured(set, now, out);
    // Whose' '// Whose'
mutant members-what-is-forgotten-is-not-written-over kernel/commit/over.rs 'self.fleet.set(name).map(|set| members::rows(set, id)).unwrap_or_default()' 'Vec::new()'
mutant modes-manual-begins-by-itself kernel/modes.rs 'if set.spec.mode == UpgradeMode::Manual {' 'if false {'
mutant modes-a-quarantine-is-lifted kernel/modes.rs 'UpgradeMode::Rolling | UpgradeMode::Automatic => quarantined(set, &planned.goal),' 'UpgradeMode::Rolling | UpgradeMode::Automatic => None,'
mutant modes-nothing-is-planned-at-a-start kernel/boot.rs 'if is_known { SaidAnew::Yes } else { said_anew }' 'said_anew'
mutant modes-a-door-is-forgotten kernel/reload.rs 'set.model.of(&change.component).filter(|_| said)' 'set.model.of(&change.component).filter(|_| false && said)'
mutant reload-another-plugins-word-counts kernel/judged.rs 'if decided.outcome.stamp.name != set.spec.plugin {' 'if false {'
mutant world-no-tombstone kernel/surge.rs 'out.writes.push(Write::Membership(name, id.clone(), Some(Box::new(away.membership()))));' 'let _ = name;'
mutant world-new-one-counts-at-once kernel/surge.rs 'state.place = Place::Coming { replaces: replaces.clone() };' ''
mutant world-address-of-another kernel/surge.rs 'one.located == Located::Yes && one.spec.address == *address;' 'false && one.spec.address == *address;'

# Hooks: in their order, each under one name, and each before with its after.
mutant trip-all-at-once rollout/admission.rs 'let room = if upgrade.is_trip_due() { 1 } else { room };' ''
mutant trip-no-way-back rollout/trip.rs 'Trip::Up => !self.has_failed_part(),' 'Trip::Up => false,'
mutant trip-failed-back-is-well rollout/trip.rs 'if matches!(member.state, MemberState::Succeeded { .. }) {' 'if true {'
mutant trip-up-again-in-spite-of-skip rollout/trip.rs 'if member.trip == Trip::Back { may_not(upgrade, fleet, id) } else { None }' 'None::<String>'
mutant trip-not-held kernel/ended.rs '    hold_without_way_back(set, &upgrade, now, out);' ''
mutant hooks-driver-does-not-wait rollout/hooks.rs 'if kinds.has(HookKind::BeforeInstance) {' 'if kinds.has(HookKind::BeforeInstance) && false {'
mutant hooks-none-after rollout/hooks.rs 'if kinds.has(HookKind::AfterInstance) {' 'if kinds.has(HookKind::AfterInstance) && false {'
mutant hooks-failed-is-well rollout/hooks.rs '(Moment::Before, Some(reason)) => {' '(Moment::Before, Some(_)) if direction == Direction::Forward => return Some(then),
        (Moment::Before, Some(reason)) => {'
mutant hooks-permit-for-ever rollout/admission.rs 'if stopped(upgrade, fleet, now).is_some() && hooks::withdraw(upgrade, out) {' 'if false {'
mutant hooks-permit-anybody rollout/admission.rs 'if hooks::is_for_others(upgrade, &admitted) {' 'if false {'
mutant hooks-after-is-not-run-again rollout/hooks.rs 'let is_over = stop.is_none() || result.is_ok() || ' 'let is_over = true || '
mutant gone-leaves-at-once kernel/members.rs 'upgrade.members.get(id).is_some_and(Member::is_in_hand);
    let waits' 'upgrade.members.get(id).is_some_and(|_| false);
    let waits'
mutant gone-at-a-start-leaves-at-once kernel/members/in_hand.rs '.filter(|member| member.is_in_hand());' '.filter(|member| false && member.is_in_hand());'
mutant gone-at-a-start-is-nowhere kernel/look.rs 'members::in_hand::remember(set, Arc::make_mut(&mut upgrade), &stepped.changed);' 'let _ = members::in_hand::changed;'
mutant wake-is-lost kernel/state.rs 'self.wake_at.into_iter().chain(due)' 'None.into_iter().chain(due)'
mutant silent-is-forgotten rollout/reasked.rs 'upgrade.reask.extend(heard);' ''
mutant hooks-batch-goes-on rollout/hooks.rs 'if let Some(reason) = failed.filter(|_| !upgrade.cancel_requested) {' 'if let Some(reason) = failed.filter(|_| false) {'
mutant hooks-batch-stays-open rollout/hooks.rs 'upgrade.hooked.before == Some(upgrade.current) && begin(upgrade, BatchHook::AfterNothing, out)' 'false'
mutant hooks-late-answer-is-heard kernel/hooks.rs 'if !is_awaited(set, &operation) {' 'if false {'

# Evidence for what is deployed, ways back of releases, and what does not begin again.
mutant evidence-deploys-on-an-old-look rollout/evidence.rs 'members.filter(move |id| fleet.is_unlooked(id, upgrade.evidence_from))' 'members.filter(move |id| fleet.is_unlooked(id, upgrade.evidence_from) && false)'
mutant evidence-a-look-counts-from-its-end kernel/sight.rs 'instance.looked_at.insert(component.clone(), look.began_at);' 'instance.looked_at.insert(component.clone(), now.at);'
mutant release-a-failed-way-back-is-back release/step.rs 'part.run = Run::NotBack { why };' 'part.run = Run::Back; drop(why);'
mutant release-a-way-back-does-not-wait release/wind_up.rs '.is_none_or(|facts| facts.busy.is_none())' '.is_none_or(|facts| facts.busy.is_none() || true)'
mutant release-back-is-not-tried-again kernel/release/commands.rs 'once_more(fleet, number, out);' ''
mutant release-who-comes-is-left release/step.rs 'facts.behind && facts.busy.is_none()' 'facts.behind && facts.busy.is_some()'
mutant release-failed-begins-again kernel/release/estate.rs '.then_some(Left::FailedBefore)' '.then_some(Left::FailedBefore).filter(|_| false)'
mutant release-a-persons-way-back-is-a-failure kernel/release/estate.rs 'because.clone().map_or_else(by_a_person, ChildEnd::Faulted)' 'ChildEnd::Faulted(because.clone().unwrap_or_default())'
mutant release-one-that-fails-again-is-all rollout/gate.rs '{ 0 } else { upgrade.already }' '{ 0 } else { 0 }'
mutant lifecycle-shadow-of-other-asks-stays lifecycle/reload/take_up.rs 'discard::not_asked_for(life, out, now);' ''
mutant lifecycle-asks-are-not-asked lifecycle/reload.rs 'if wanted.asks == Asks::Another {' 'if false {'

# Generations of plugins: the worlds' own rules must notice, so only they are asked.
only_worlds=yes
mutant swap-any-generation-counts plan/standing.rs 'let counts = |by: Option<Generation>| input.in_force.is_none() || by == input.in_force;' 'let counts = |_: Option<Generation>| true;'
mutant swap-sets-go-by-the-old-one kernel/plugin.rs 'reload::in_force(fleet, name, generation);' 'let _ = generation;'
mutant swap-is-not-in-its-commit kernel/plugin.rs 'if let Some(stored) = record {' 'if let Some(stored) = record.filter(|_| in_force.is_none()) {'
mutant swap-line-is-not-in-its-commit kernel/plugin.rs 'note::plugin_reverted(fleet, &said.plugin, &said.to_string(), now, out);' ''
mutant swap-refused-takes-effect kernel/commit.rs 'let Undo { fleet, requests, numbers } = *undo;' 'let Undo { mut fleet, requests, numbers } = *undo;
            fleet.plugins = self.fleet.plugins.clone();'
mutant swap-late-answer lifecycle/step.rs 'let is = |job: &mut super::job::Job| job.load.ticket == ticket;' 'let is = |_: &mut super::job::Job| true;'
mutant swap-number-is-used-again lifecycle/life.rs 'Generation(highest.unwrap_or(0).saturating_add(1))' 'Generation(highest.unwrap_or(0).max(1))'
# Releases: the same.
mutant worlds-release-gate-never-shuts release/gates.rs '(phase > *first).then_some((*first, set))' '(phase > *first && phase > 99).then_some((*first, set))'
mutant worlds-release-zones-side-by-side kernel/zones.rs 'self.zones.iter().any(|other| other.as_deref() != zone)' 'self.zones.len() > 99 && self.zones.iter().any(|other| other.as_deref() != zone)'
mutant worlds-release-bake-does-not-count release/gates.rs 'since + release.strategy.bake <= now;' 'since <= now;'
mutant worlds-release-halted-begins release/reasons.rs '            return NotBegun::Halted;
' ''
mutant worlds-release-never-halts release/step.rs 'let is_over = failed > release.allowed;' 'let is_over = failed > release.allowed + 99;'
mutant worlds-release-withdrawn-goes-on kernel/release/commands.rs 'let ends = with_it.filter(|it| stops(it) || goes_back(it))' 'let ends = with_it.filter(|it| it.number == 0 && goes_back(it))'
mutant worlds-release-opted-out-begins kernel/release/estate.rs '.opted_out.contains_key(&(set.spec.name.clone(), enrolment.subject.clone()))' '.opted_out.is_empty() && false'
mutant worlds-release-opt-out-goes-on release/step.rs 'if opted_out.is_some() && !part.cancelling {' 'if opted_out.is_some() && part.cancelling {'
mutant worlds-release-feature-is-not-asked-for kernel/release/estate.rs 'if fleet.releases.rules.require_feature && ' 'if fleet.releases.rules.types.is_empty() && '
mutant worlds-release-pair release/reasons.rs 'flying.contains(pair) || estate.is_in_flight_elsewhere(pair)' 'flying.len() > 99 && estate.is_in_flight_elsewhere(pair)'
mutant worlds-release-after release/reasons.rs 'part.after.iter().find(comes_first)' 'part.after.iter().find(comes_first).filter(|_| flying.len() > 99)'
mutant worlds-release-pair-of-another release/reasons.rs 'flying.contains(pair) || estate.is_in_flight_elsewhere(pair)' 'flying.contains(pair)'
mutant worlds-release-paused-begins release/reasons.rs '    if release.paused {
        return NotBegun::Paused;
    }
' ''
mutant worlds-release-paused-goes-on release/step.rs '(release.paused || halted || gates' '(halted || gates'
mutant worlds-release-goes-on-past-an-open-phase release/step.rs '(release.paused || halted || gates.shut(part.phase).is_some())' '(release.paused || halted)'
mutant worlds-doubt-of-all-never kernel/doubts/whole.rs 'silent * 2 > self.untouched' 'silent > self.untouched + 99'
only_worlds=no
mutant kernel-reload-in-parts kernel/mod.rs 'return Err(refusal);
        }
        let mut taken' 'let _ = refusal;
        }
        let mut taken'

mutant release-gate-never-shuts release/gates.rs '(phase > *first).then_some((*first, set))' '(phase > *first && phase > 99).then_some((*first, set))'
mutant release-approval-is-permanent release/gates.rs 'sets.retain(|name| !is_over(name));' 'sets.retain(|name| !is_over(name) || true);'
mutant release-approval-is-for-all release/gates.rs 'if part.phase < *phase && !is_excused && is_first {' 'if false && part.phase < *phase && !is_excused && is_first {'
mutant release-bake-does-not-count release/gates.rs 'part.seen_well && part.watched_since.is_some_and(baked)' 'part.watched_since.is_some()'
mutant release-what-nobody-asked-counts release/gates.rs 'part.seen_well && part.watched_since.is_some_and(baked)' 'part.watched_since.is_some_and(baked)'
mutant release-evidence-is-not-revoked release/step.rs 'if part.well_since.take().is_some() {' 'if part.well_since.is_none() {'
mutant release-pair-of-its-own release/reasons.rs 'flying.contains(pair) || estate' 'estate'
mutant release-pair-of-another release/reasons.rs 'flying.contains(pair) || estate.is_in_flight_elsewhere(pair)' 'flying.contains(pair)'
mutant release-opt-out-goes-on release/step.rs 'if opted_out.is_some() && !part.cancelling {' 'if opted_out.is_some() && part.cancelling {'
mutant release-never-halts release/step.rs 'let is_over = failed > release.allowed;' 'let is_over = failed > release.allowed + 99;'
mutant release-machines-are-judged-alone rollout/gate.rs 'limit.is_exceeded_by(mine + bad, upgraded(upgrade) + others)' 'limit.is_exceeded_by(mine + bad.min(0), upgraded(upgrade) + others.min(0))'
mutant release-machines-begin-past-their-group rollout/gate.rs 'if beside.bad > 0 && is_over_limit(upgrade, fleet) {' 'if beside.bad > 999 && is_over_limit(upgrade, fleet) {'
mutant machines-what-goes-back-is-not-in-flight kernel/zones.rs 'Stage::Undoing => upgrade.members.in_flight().count(),' 'Stage::Undoing => 0,'
mutant upgrade-lost-one-is-forgotten rollout/reconfigured.rs 'self.lost_one |= !gone.is_empty();' ''
mutant release-each-machine-is-a-failed-set release/state.rs 'Some(subscription) => Unit::Machines(&self.location, subscription),' 'Some(_) => Unit::Set(name),'
mutant release-not-approved-is-a-failure kernel/release/estate.rs '(UpgradeState::Faulted, None) if nobody_approved(upgrade) =>' '(UpgradeState::Faulted, None) if nobody_approved(upgrade) && upgrade.releases.is_empty() =>'
mutant release-not-approved-comes-again kernel/release/estate.rs '=> Some(Left::NotApproved),' '=> None,'
mutant release-not-approved-is-retried release/step.rs 'let is_by_itself = matches!(how, How::Faulted | How::Incomplete);' 'let is_by_itself = how != How::Cancelled;'
mutant release-bypass-passes-a-pause rollout/refusal.rs 'Some(release) if only_its_release =>' 'Some(release) if only_its_release && upgrade.cancel_requested =>'
mutant release-waits-for-nobody release/gates.rs 'let by = stuck.iter().find(|stuck| waits_for(part, stuck))?;' 'let by = stuck.iter().find(|stuck| waits_for(part, stuck) && stuck.1.tries > 99)?;'
mutant release-waits-for-who-is-excused release/gates.rs 'of.phase < part.phase && !is_excused(part.phase, name)' 'of.phase < part.phase'
mutant release-older-does-not-begin kernel/release/turn.rs 'has_ended_withdrawn(fleet, *number))' 'has_ended_withdrawn(fleet, *number) && *number == 0)'
mutant release-what-follows-has-ended-it kernel/release/estate.rs 'if before.is_some_and(|before| !before.is_active())' 'if before.is_some_and(|before| before.is_active())'
mutant release-retried-for-ever release/step.rs 'part.tries <= limit' 'part.tries <= limit + 99'
mutant release-past-the-major release/enrolment.rs 'std::cmp::Ordering::Less if from.major() != to.major()' 'std::cmp::Ordering::Less if from.major() > to.major()'
mutant release-minor-across-a-start kernel/boot.rs 'model.configured == defined || model.configured == configured' 'model.configured.as_str().starts_with(configured.as_str())'
mutant release-other-content release/catalogue.rs 'if known.digest != new.digest {' 'if known.digest != new.digest && known.digest.is_none() {'
mutant kernel-zones-side-by-side kernel/zones.rs 'self.zones.iter().any(|other| other.as_deref() != zone)' 'self.zones.len() > 99 && self.zones.iter().any(|other| other.as_deref() != zone)'
mutant kernel-release-hold-is-forgotten kernel/release/turn.rs 'set.release_hold = wanted.contains(&name);' 'set.release_hold = false;'

if [[ $applies_only == yes ]]; then
    echo "$fits apply, $broken do not"
else
    echo "$killed killed, $survived survived, $broken did not apply or build"
fi
[[ $broken -eq 0 ]] || exit 2
[[ $survived -eq 0 ]] || exit 1
