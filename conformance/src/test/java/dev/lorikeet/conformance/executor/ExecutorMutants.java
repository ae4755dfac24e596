package dev.lorikeet.conformance.executor;

import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.conformance.MutantSuites;
import dev.lorikeet.conformance.MutantSuites.MakesExecutor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** LoRA executors with one fault each. */
public final class ExecutorMutants {
  private ExecutorMutants() {}

  static Mutant executor(String fault, Set<String> by, Set<String> also, MakesExecutor factory) {
    return new Mutant(MutantSuites.Executors.class, fault, by, also, factory);
  }

  public static List<Mutant> all() {
    List<Mutant> list = new ArrayList<>(ExecutorArithmeticMutants.all());
    list.addAll(ExecutorShapeMutants.all());
    list.addAll(ExecutorConductMutants.all());
    list.addAll(ExecutorMergeMutants.all());
    list.addAll(ExecutorDeviceMutants.all());
    list.addAll(GradientMutants.all());
    return list;
  }
}
