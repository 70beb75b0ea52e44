//! From what somebody asks for to a frozen plan, and what is shown of it before it starts: what will run where, in
//! which order.

use serde::Serialize;

use crate::domain::{
    Action, ActionDef, Definition, Digest, HostName, IfBusy, Invalid, LimitsGiven, Member, PipelineDef, Plan, Selected,
    Share, Stage, batches,
};
use crate::store::{HostRow, Journal, ReadError};

use super::{By, Engine, EngineError, StartPipeline};

/// The most hosts that one pipeline may have.
pub(super) const MOST_HOSTS: usize = 5_000;

/// What a pipeline would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Preview {
    /// The pipeline's name, or the op's.
    pub name: String,
    /// For a reader.
    pub label: String,
    /// In order.
    pub stages: Vec<PreviewStage>,
    /// Names of hosts, in the order of their turns; a batch goes through all stages before the next one starts.
    pub batches: Vec<Vec<String>>,
    /// How many hosts.
    pub hosts: i64,
    /// Whether an op of it is dangerous.
    pub dangerous: bool,
    /// Hosts that are busy now, and why.
    pub busy: Vec<(String, String)>,
    /// Hosts that did not answer when they were contacted last, and what was said.
    pub unreachable: Vec<(String, String)>,
    /// Hosts that were selected and are left out, and why.
    pub left_out: Vec<(String, String)>,
    /// Hosts at work at once.
    pub max_parallel: usize,
    /// So many failed hosts, and nothing further starts.
    pub stop_at: Option<usize>,
    /// What happens to a host that is busy when its turn comes: `refuse`, `leave_out`, `wait:5m`.
    pub if_busy: IfBusy,
    /// What else somebody should know before starting it, one sentence each.
    pub notes: Vec<String>,
}

/// One stage of a preview.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct PreviewStage {
    /// The op's label, or what a person should look at.
    pub text: String,
    /// The op's id; none where a person is waited for.
    pub op: Option<String>,
    /// Whether the op is dangerous.
    pub dangerous: bool,
    /// How many hosts it is for.
    pub hosts: i64,
}

/// What somebody asks for, understood.
pub(super) struct Prepared {
    pub(super) def: PipelineDef,
    pub(super) plan: Plan,
    pub(super) definitions: Vec<Definition>,
    hosts: Vec<Member>,
    left_out: Vec<(String, String)>,
    dangerous: bool,
}

impl Engine {
    /// What a start would do now: which hosts, in which order, in which batches, and what is in the way.
    ///
    /// # Errors
    /// As [`Engine::start_pipeline`].
    pub async fn preview_pipeline(&self, start: &StartPipeline) -> Result<Preview, EngineError> {
        let prepared = self.prepare(start).await?;
        self.preview(prepared).await
    }

    /// The same for who would start it.
    ///
    /// # Errors
    /// As [`Engine::start_pipeline`]; also where it is not theirs to start on some of the hosts.
    pub async fn preview_pipeline_of(&self, start: &StartPipeline, by: &By) -> Result<Preview, EngineError> {
        let prepared = self.prepare(start).await?;
        self.may_run(by, &prepared.plan).await?;
        self.preview(prepared).await
    }

    /// The pipeline of this name, else the op's own.
    fn pipeline_def(&self, name: &str) -> Result<PipelineDef, EngineError> {
        let catalog = &self.0.catalog;
        if let Some(def) = catalog.pipeline(name) {
            return Ok(def.clone());
        }
        if let Some(op) = catalog.get(name) {
            return Ok(PipelineDef::of_op(op));
        }
        let asked = crate::domain::bounded(name, 80);
        let known = catalog.pipelines().map(|def| def.id.as_str());
        let known = known.chain(catalog.iter().map(|op| op.id.as_str()));
        let nearest = crate::domain::nearest(&asked, known).map(str::to_owned);
        Err(EngineError::UnknownPipelineName { name: asked, nearest })
    }

    pub(super) async fn prepare(&self, start: &StartPipeline) -> Result<Prepared, EngineError> {
        let def = self.pipeline_def(&start.name)?;
        self.prepare_def(def, start).await
    }

    pub(super) async fn prepare_def(&self, def: PipelineDef, start: &StartPipeline) -> Result<Prepared, EngineError> {
        let fleet = self.reader().read(Journal::hosts).await?;
        let fleet: Vec<Member> = fleet.iter().map(member).collect();
        let selected = start.selection.among(&fleet);
        self.refuse_strays(&selected).await?;
        self.freeze(def, &start.limits, selected.hosts)
    }

    /// Unknown and removed hosts, and tags without hosts, are refused: a typing error must not run on fewer hosts.
    async fn refuse_strays(&self, selected: &Selected) -> Result<(), EngineError> {
        if let Some(name) = selected.unknown.first() {
            let shown = crate::domain::bounded(name, 80);
            let Ok(wanted) = name.parse::<HostName>() else {
                return Err(EngineError::UnknownHost(shown));
            };
            let row = self.reader().read(move |journal| journal.host(&wanted)).await?;
            return Err(match row {
                Some(_) => EngineError::Conflict(format!(
                    "“{shown}” was removed from the fleet; add it again, or leave it out"
                )),
                None => EngineError::UnknownHost(shown),
            });
        }
        if let Some(tag) = selected.empty_tags.first() {
            let shown = crate::domain::bounded(tag, 80);
            return Err(Invalid::new("tags", format!("no host has the tag “{shown}”")).into());
        }
        if selected.hosts.is_empty() {
            return Err(Invalid::new("hosts", "select at least one host").into());
        }
        if selected.hosts.len() > MOST_HOSTS {
            return Err(Invalid::new("hosts", format!("at most {MOST_HOSTS} hosts in one pipeline")).into());
        }
        Ok(())
    }

    fn freeze(&self, def: PipelineDef, given: &LimitsGiven, hosts: Vec<Member>) -> Result<Prepared, EngineError> {
        let dangerous = self.0.catalog.is_dangerous(&def);
        let mut stages = Vec::with_capacity(def.stages.len());
        let mut definitions = Vec::new();
        for stage in &def.stages {
            let action = match &stage.action {
                ActionDef::Wait(text) => Action::Wait { text: text.clone() },
                ActionDef::Op(op) => {
                    let definition = self.op(op.as_str())?.definition();
                    let action = action_of(&definition);
                    definitions.push(definition);
                    action
                }
            };
            let is_for = |host: &Member| host.tags.iter().any(|tag| stage.only_tags.contains(tag));
            stages.push(Stage {
                action,
                on_failure: stage.on_failure,
                only: (!stage.only_tags.is_empty())
                    .then(|| hosts.iter().filter(|host| is_for(host)).map(|host| host.id).collect()),
            });
        }
        let mut plan = Plan {
            stages,
            ..Plan::default()
        };
        // A host that no stage is for has nothing to do here.
        let (hosts, without): (Vec<_>, Vec<_>) = hosts
            .into_iter()
            .partition(|host| plan.stages_of(host.id).next().is_some());
        if hosts.is_empty() {
            return Err(Invalid::new("hosts", "no stage of this pipeline is for any of the selected hosts").into());
        }
        let ids: Vec<i64> = hosts.iter().map(|host| host.id).collect();
        let limits = &def.defaults;
        let shares = match &given.batches {
            Some(shares) => shares.clone(),
            None if limits.batches.is_empty() && dangerous => {
                vec![Share::Count(1), Share::Percent(25), Share::Percent(100)]
            }
            None => limits.batches.clone(),
        };
        if given.max_parallel == Some(0) {
            return Err(Invalid::new("max_parallel", "must be 1 or more").into());
        }
        plan.batches = batches(&ids, &shares);
        let most = given.max_parallel.or(limits.max_parallel);
        plan.max_parallel = most.unwrap_or(self.0.settings.follow_limit).max(1);
        plan.stop_at = given.stop_when.or(limits.stop_when).map(|share| share.of(ids.len()));
        // Who looks at a first batch, or dares something dangerous, does not want the next one after it failed.
        let canary = plan.stages.iter().any(|stage| stage.op().is_none());
        plan.first_batch_must_pass = (dangerous || canary) && plan.batches.len() > 1;
        plan.if_busy = given.if_busy.unwrap_or(limits.if_busy);
        plan.count_unreachable = given.count_unreachable.unwrap_or(limits.count_unreachable);
        let left_out = without
            .into_iter()
            .map(|host| (host.name.to_string(), "no stage is for its tags".to_owned()))
            .collect();
        Ok(Prepared {
            def,
            plan,
            definitions,
            hosts,
            left_out,
            dangerous,
        })
    }

    async fn preview(&self, prepared: Prepared) -> Result<Preview, EngineError> {
        let Prepared {
            def,
            plan,
            hosts,
            mut left_out,
            dangerous,
            ..
        } = prepared;
        let ids: Vec<i64> = hosts.iter().map(|host| host.id).collect();
        let (in_the_way, silent) = self
            .reader()
            .read(move |journal| Ok((in_the_way(journal, &ids)?, silent(journal, &ids)?)))
            .await?;
        let name_of = |id: i64| {
            let host = hosts.iter().find(|host| host.id == id);
            host.map(|host| host.name.to_string()).unwrap_or_default()
        };
        let unreachable = silent.into_iter().map(|(id, why)| (name_of(id), why)).collect();
        let mut plan = plan;
        let mut busy: Vec<(String, String)> = Vec::new();
        let named = in_the_way.iter().map(|(id, why)| (name_of(*id), why.clone()));
        if plan.if_busy == IfBusy::LeaveOut {
            left_out.extend(named);
            plan = plan.without(&in_the_way.iter().map(|(id, _)| *id).collect());
        } else {
            busy.extend(named);
        }
        let stages = plan.stages.iter().enumerate().map(|(index, stage)| PreviewStage {
            text: match stage.op() {
                Some(op) => self
                    .0
                    .catalog
                    .get(op.as_str())
                    .map_or(op.as_str(), |op| op.label())
                    .to_owned(),
                None => stage.text().to_owned(),
            },
            op: stage.op().map(ToString::to_string),
            dangerous: stage.is_dangerous(),
            hosts: number(plan.hosts().filter(|host| plan.applies(*host, index)).count()),
        });
        Ok(Preview {
            name: def.id.to_string(),
            label: def.label().to_owned(),
            stages: stages.collect(),
            batches: (plan.batches.iter())
                .map(|batch| batch.iter().map(|host| name_of(*host)).collect())
                .collect(),
            hosts: number(plan.hosts().count()),
            dangerous,
            notes: notes(&plan, !busy.is_empty()),
            busy,
            unreachable,
            left_out,
            max_parallel: plan.max_parallel,
            stop_at: plan.stop_at,
            if_busy: plan.if_busy,
        })
    }
}

/// What a plan's stage does with this definition.
pub(super) fn action_of(definition: &Definition) -> Action {
    Action::Op {
        op: definition.op.clone(),
        definition: Digest::of(definition.text().as_bytes()),
        dangerous: definition.dangerous,
    }
}

fn notes(plan: &Plan, any_busy: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if plan.first_batch_must_pass {
        notes.push("When a host of the first batch fails, nothing further starts.".to_owned());
    }
    if plan.stages.iter().any(|stage| stage.op().is_none()) {
        notes.push("It waits for a person in between, for each batch anew.".to_owned());
    }
    match plan.if_busy {
        IfBusy::Refuse if any_busy => {
            notes.push("Hosts that are still busy when their turn comes are refused; the others go on.".to_owned());
        }
        IfBusy::Wait(span) => notes.push(format!(
            "A busy host is waited for, {span} at most from when its turn comes."
        )),
        IfBusy::Refuse | IfBusy::LeaveOut => {}
    }
    notes
}

/// Which of these hosts are busy or reserved, and by what.
fn in_the_way(journal: &mut Journal, ids: &[i64]) -> Result<Vec<(i64, String)>, ReadError> {
    let mut found = Vec::new();
    for id in ids {
        if let Some(why) = journal.busy_with(*id)? {
            found.push((*id, why));
        }
    }
    Ok(found)
}

/// Which of these hosts did not answer when they were contacted last, and why.
fn silent(journal: &mut Journal, ids: &[i64]) -> Result<Vec<(i64, String)>, ReadError> {
    let mut found = Vec::new();
    for id in ids {
        if let Some(facts) = journal.host_facts(*id)?.filter(|facts| facts.reachable == Some(false)) {
            let why = facts.problem.unwrap_or_else(|| "the last contact failed".to_owned());
            found.push((*id, why));
        }
    }
    Ok(found)
}

fn member(row: &HostRow) -> Member {
    Member {
        id: row.id,
        name: row.hostname.clone(),
        tags: row.tags.clone(),
        automatic: row.automatic,
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
