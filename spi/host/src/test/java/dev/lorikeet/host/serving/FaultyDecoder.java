package dev.lorikeet.host.serving;

import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.switching.SwitchStats;
import java.lang.foreign.MemorySegment;

/** A decoder that does what another one does, until a test has it fail. */
final class FaultyDecoder implements StepDecoder {
  /** What a test does to a decoder. */
  interface Fault {
    /** Called before a method of the decoder, with its name; may throw. */
    default void before(String method) {}

    /** Called after a step, when its logits can be changed. */
    default void after(StepBatch step, StepDecoder decoder) {}
  }

  private final StepDecoder decoder;
  private final Fault fault;

  FaultyDecoder(StepDecoder decoder, Fault fault) {
    this.decoder = decoder;
    this.fault = fault;
  }

  @Override
  public KvCache kv() {
    return decoder.kv();
  }

  @Override
  public void forward(StepBatch step, StepAdapters adapters) {
    fault.before("forward");
    decoder.forward(step, adapters);
    fault.after(step, decoder);
    fault.before("the end of forward");
  }

  @Override
  public MemorySegment logits(int row) {
    fault.before("logits");
    return decoder.logits(row);
  }

  @Override
  public float logit(int row, int token) {
    fault.before("logit");
    return decoder.logit(row, token);
  }

  @Override
  public int best(int row) {
    fault.before("best");
    return decoder.best(row);
  }

  @Override
  public double logSumExp(int row) {
    fault.before("logSumExp");
    return decoder.logSumExp(row);
  }

  @Override
  public SwitchStats switchStats() {
    fault.before("switchStats");
    return decoder.switchStats();
  }

  @Override
  public void close() {
    decoder.close();
  }
}
