package dev.lorikeet.bench.serve;

/** A contender that was opened; used by one thread, in a process of its own. */
interface Engine {
  /** Tells what it is: name and version. */
  String title();

  /** Continues prompts greedily, as many tokens as are asked for whatever they are. */
  Outcome run(Workload workload) throws Exception;
}
