// Atomic steps over several shards: a batch that is one commit and one moment although its counters, or its source,
// live in different journals.
//
// While all participants' loops stand still (rt::Meetings) one thread decides the ops in order and writes each shard's
// part into a frame of its own that names all parts. Recovery ends a journal before a step of which a part is missing,
// so a step is there as a whole or not at all, and may take later ones with it that are on the medium of all their
// shards. Hence nothing from a step on is shown on any participant before all parts of it, and of the steps before it
// on each of them, are on the medium.
//
// Threads   Run: inside a meeting of all participants' loops. Cost: a meeting, and one frame per participant.
#pragma once
#include <vector>

#include "rt/random.h"
#include "store/embedded/shard.h"

namespace quipu::store {

// The shards that an atomic batch concerns, without repetition.
std::vector<Shard*> Participants(const std::vector<Shard*>& shards, const Batch& batch);

// Decides the batch and fills its results, all but `decided`: its home may look at that meanwhile. Returns what it
// reveals: the batch may be shown once every one of these shards shows that position. A batch of reads writes nothing.
std::vector<std::pair<Shard*, Position>> RunStep(const std::vector<Shard*>& shards, const uint64_t (&id)[2],
                                                 Batch* batch);

}  // namespace quipu::store
