package dev.lorikeet.conformance;

import dev.lorikeet.conformance.trial.ProviderRules;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * An implementation with one fault.
 *
 * @param suite the suite that must catch it
 * @param fault what is wrong
 * @param caughtBy the rules that must catch it
 * @param mayAlso rules that may see it as well; at most three
 * @param factory makes it: a function of what the contract's factory method takes
 */
public record Mutant(
    Class<? extends ProviderRules> suite,
    String fault,
    Set<String> caughtBy,
    Set<String> mayAlso,
    Object factory) {
  public Mutant {
    if (caughtBy.isEmpty() || mayAlso.size() > 3) {
      throw new IllegalArgumentException(fault + ": names no rule, or too many");
    }
  }

  public static Set<String> rules(String... rules) {
    return new TreeSet<>(List.of(rules));
  }
}
