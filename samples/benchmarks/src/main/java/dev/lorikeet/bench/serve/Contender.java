package dev.lorikeet.bench.serve;

/** A library that is measured; used by one thread, in a process of its own. */
interface Contender {
  /** Tells what it is: name and version. */
  String title();

  /** Continues prompts greedily, as many tokens as are asked for whatever they are. */
  Outcome run(Workload workload) throws Exception;
}
