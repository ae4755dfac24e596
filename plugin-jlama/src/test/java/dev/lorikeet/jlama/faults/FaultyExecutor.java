package dev.lorikeet.jlama.faults;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.jlama.faults.Faults.Party;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** An executor that throws, before it has computed or after. */
record FaultyExecutor(LoraExecutor executor, Faults faults) implements LoraExecutor {
  @Override
  public Device device() {
    faults.at(Party.EXECUTOR, "device");
    return executor.device();
  }

  @Override
  public boolean takesActivations(ElementType type, Device device) {
    faults.at(Party.EXECUTOR, "takesActivations");
    return executor.takesActivations(type, device);
  }

  @Override
  public boolean takesWeights(ElementType type) {
    faults.at(Party.EXECUTOR, "takesWeights");
    return executor.takesWeights(type);
  }

  @Override
  public boolean merges(ElementType type, Device device) {
    faults.at(Party.EXECUTOR, "merges");
    return executor.merges(type, device);
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    faults.at(Party.EXECUTOR, "addDelta");
    executor.addDelta(targets, batch, x, y);
    faults.at(Party.EXECUTOR, "the end of addDelta");
  }

  @Override
  public void switchMerged(MergePlan plan) {
    faults.at(Party.EXECUTOR, "switchMerged");
    executor.switchMerged(plan);
    faults.at(Party.EXECUTOR, "the end of switchMerged");
  }

  @Override
  public void close() {
    faults.closed(executor, 0, "");
    executor.close();
    faults.at(Party.EXECUTOR, "close");
  }
}
