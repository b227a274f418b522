#ifndef OPENMMCG_ENGINE_BOX_H_
#define OPENMMCG_ENGINE_BOX_H_

#include <algorithm>
#include <cmath>
#include <vector>

namespace OpenMMCG {

/**
 * A periodic box in OpenMM's reduced triclinic form, or no box at all.
 *
 * The box vectors are a = (ax, 0, 0), b = (bx, by, 0), c = (cx, cy, cz), in nm.
 */
struct Box {
    bool periodic = false;
    double a[3] = {0, 0, 0};
    double b[3] = {0, 0, 0};
    double c[3] = {0, 0, 0};

    /**
     * Half of the smallest diagonal element: the largest distance at which a pair has only one
     * image to consider.
     */
    double maxCutoff() const {
        return 0.5 * std::min({a[0], b[1], c[2]});
    }

    /**
     * Whether the vectors are in reduced form, within rounding.
     */
    bool isReduced() const {
        constexpr double HALF = 0.5 + 1e-6;
        return std::abs(b[0]) <= HALF * a[0] && std::abs(c[0]) <= HALF * a[0] && std::abs(c[1]) <= HALF * b[1];
    }

    /**
     * Find how many times each box vector has to be added to `delta` to bring it to its minimum image. This is exact
     * for distances up to maxCutoff().
     */
    void minimumImage(const double delta[3], double counts[3]) const {
        counts[2] = -nearest(delta[2] / c[2]);
        counts[1] = -nearest((delta[1] + counts[2] * c[1]) / b[1]);
        counts[0] = -nearest((delta[0] + counts[2] * c[0] + counts[1] * b[0]) / a[0]);
    }

    /**
     * Fill `shift` with a combination of box vectors.
     */
    void combine(const double counts[3], double shift[3]) const {
        shift[0] = counts[0] * a[0] + counts[1] * b[0] + counts[2] * c[0];
        shift[1] = counts[1] * b[1] + counts[2] * c[1];
        shift[2] = counts[2] * c[2];
    }

    /**
     * Convert a position to fractional coordinates in [0, 1).
     */
    void toFractional(const double position[3], double fractional[3]) const {
        double counts[3];
        toFractional(position, fractional, counts);
    }

    /**
     * Likewise, and tell how many times each box vector has to be added to get back to the position.
     */
    void toFractional(const double position[3], double fractional[3], double counts[3]) const {
        double sc = position[2] / c[2];
        double sb = (position[1] - sc * c[1]) / b[1];
        double sa = (position[0] - sb * b[0] - sc * c[0]) / a[0];
        counts[0] = std::floor(sa);
        counts[1] = std::floor(sb);
        counts[2] = std::floor(sc);
        fractional[0] = sa - counts[0];
        fractional[1] = sb - counts[1];
        fractional[2] = sc - counts[2];
    }

    /**
     * Fill `width` with the distances between opposite faces of the box, in the order a, b, c.
     */
    void faceDistances(double width[3]) const {
        // Each is the volume over the area of the face that the other two vectors span.
        double volume = a[0] * b[1] * c[2];
        double bcx = b[1] * c[2], bcy = -b[0] * c[2], bcz = b[0] * c[1] - b[1] * c[0];
        width[0] = volume / std::sqrt(bcx * bcx + bcy * bcy + bcz * bcz);
        width[1] = volume / (a[0] * std::sqrt(c[1] * c[1] + c[2] * c[2]));
        width[2] = c[2];
    }

    /**
     * Round to a whole number. Adding 1.5 * 2^52 leaves no bits for a fraction; std::floor() would be a function call
     * on processors without SSE 4.1, for which this is compiled too.
     */
    static double nearest(double x) {
        constexpr double SHIFT = 6755399441055744.0;
        return (x + SHIFT) - SHIFT;
    }

    /**
     * The nine numbers of the box vectors a, b, c.
     */
    std::vector<double> getVectors() const {
        return {a[0], a[1], a[2], b[0], b[1], b[2], c[0], c[1], c[2]};
    }

    bool operator==(const Box& other) const {
        return periodic == other.periodic && std::equal(a, a + 3, other.a) && std::equal(b, b + 3, other.b) &&
               std::equal(c, c + 3, other.c);
    }
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_BOX_H_*/
