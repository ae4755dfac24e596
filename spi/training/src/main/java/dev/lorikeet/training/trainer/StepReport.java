package dev.lorikeet.training.trainer;

import java.util.OptionalDouble;

/**
 * What came of one step of a task.
 *
 * @param task the name of the task
 * @param step how many steps it has made, from 1
 * @param steps how many it will make
 * @param loss the mean over the step: by token with a label, or by pair
 * @param tokens how many tokens went through the model
 * @param labels how many of them had a label
 * @param gradientNorm of all its weights, before clipping
 * @param learningRate of A; that of B is the task's ratio times as large
 * @param margin of preferences: the mean of what the loss is a sigmoid's logarithm of
 * @param accuracy of preferences: the share of pairs whose margin is above 0; of paraphrases: of
 *     prompts that are nearest to their own other wording
 * @param contrastive of paraphrases: how badly wordings find one another, before it is weighed; 0
 *     is best
 * @param balance of mixtures: how evenly experts are used, 1 where all are alike and more where
 *     not; the loss has it not in it
 * @param validationLoss the loss of the examples that it is judged by, if it was computed
 */
public record StepReport(
    String task,
    int step,
    int steps,
    double loss,
    long tokens,
    long labels,
    double gradientNorm,
    double learningRate,
    OptionalDouble margin,
    OptionalDouble accuracy,
    OptionalDouble contrastive,
    OptionalDouble balance,
    OptionalDouble validationLoss) {}
